// A node's cache of quantised bases: a model's matrices in 4 or 8 bits, as slots hold them, so that a job that goes on, a second rank and a
// second job on the same model read half a byte a weight instead of two, and quantise nothing. docs/formats/quantised-base.md.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/ops/weight_slot.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/model_digest.h"
#include "worker/model/weights/safetensors.h"

namespace ft::params {

struct QuantisedBaseOptions {
  std::filesystem::path folder;         // Of the node's cached bases; is made. Empty: there is no cache.
  std::string model_sha256;             // Of the model's files (weights::ModelDigest).
  weights::ReadProgress progress = {};  // While a base is built or waited for; may be empty.
  std::function<void(const std::string& remark)> remark =
      {};  // What went wrong, and that the model's files are read instead; may be empty.
};

// A matrix of the model, as its files have it.
struct StoredMatrix {
  std::string name;  // The slot's.
  const weights::TensorInfo* info = nullptr;
};

// One base, open for reading. Lives on one thread.
class QuantisedBase {
 public:
  // The cached base of these matrices, which is built where there is none: by one process at a time, while others wait for it. Null where
  // the cache cannot be used (no room, no rights, a builder that does not finish); `remark` says why then. REQUIRES: kind is not kStored.
  static std::unique_ptr<QuantisedBase> Open(const QuantisedBaseOptions& options, BaseKind kind,
                                             const weights::TensorSource& source,
                                             const std::vector<StoredMatrix>& matrices);

  // The matrix as a slot on `device`, with the bytes that quantising it gives. DATA_LOSS names a file that is damaged, which goes then: the
  // next that opens it builds it anew.
  StatusOr<ops::SlotPtr> Read(const std::string& name, const std::vector<int64_t>& shape,
                              at::Device device) const;

  // Bytes read so far.
  int64_t bytes_read() const { return bytes_read_; }

 private:
  QuantisedBase(std::filesystem::path file, BaseKind kind) : file_(std::move(file)), kind_(kind) {}
  Status OpenFile();
  // Part `name` of a matrix, whose bytes must have the digest that they were written with.
  StatusOr<torch::Tensor> ReadPart(const std::string& name) const;

  const std::filesystem::path file_;
  const BaseKind kind_;
  std::unique_ptr<weights::SafetensorsFile> tensors_;
  std::map<std::string, std::string> digests_;  // SHA-256 of each part.
  mutable int64_t bytes_read_ = 0;
};

}  // namespace ft::params
