// What golden cases hold: inputs as micro-batches, expected tensors, and the differences between tensors.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/run/padded_batch.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::golden {

// One entry of input.json; `mask_BT` is 1 where a token is real.
struct GoldenInput {
  run::PaddedBatch batch;
  torch::Tensor mask_BT;
  int64_t counted = 0;  // Labels that carry loss, after the shift.
};

// All inputs by name (main, long, step1, ...). Masks must be ones followed by zeros.
StatusOr<std::map<std::string, GoldenInput>> ReadInputs(const std::filesystem::path& file);

struct GreedyCase {
  std::vector<int64_t> prompt;
  std::vector<int64_t> continuation;
};
StatusOr<std::vector<GreedyCase>> ReadGreedy(const std::filesystem::path& file);

// A file of expected tensors, by the names that it has: OpenWeights would take grad.model.embed_tokens.weight for the
// embedding of a wrapped model.
StatusOr<std::unique_ptr<weights::TensorSource>> OpenExpected(const std::filesystem::path& file);

// Expected tensors in float32; NOT_FOUND names what is missing.
StatusOr<torch::Tensor> Expected(const weights::TensorSource& source, const std::string& name);

// As they are stored: uint8.
StatusOr<torch::Tensor> ExpectedCodes(const weights::TensorSource& source, const std::string& name);

// Largest absolute difference divided by `scale`; infinity where shapes differ, NaN stays.
double LargestDifference(const torch::Tensor& actual, const torch::Tensor& expected, double scale);
double LargestAbsolute(const torch::Tensor& values);

}  // namespace ft::golden
