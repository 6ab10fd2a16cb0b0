#include "worker/rank/golden_repacked.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker/model/ops/nf4.h"
#include "worker/model/params/bnb_checkpoint.h"

namespace ft::rank {
namespace {

using torch::Tensor;

constexpr std::string_view kState = ".quant_state.bitsandbytes__nf4";

std::vector<std::byte> BytesOf(const Tensor& tensor) {
  const auto* begin = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {begin, begin + tensor.nbytes()};
}

class MemorySource final : public weights::TensorSource {
 public:
  explicit MemorySource(std::vector<std::pair<weights::TensorInfo, std::vector<std::byte>>> tensors) {
    for (auto& [info, bytes] : tensors) {
      infos_.push_back(std::move(info));
      bytes_.push_back(std::move(bytes));
    }
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    const std::vector<std::byte>& bytes = bytes_[static_cast<size_t>(&info - infos_.data())];
    std::memcpy(out.data(), bytes.data(), out.size());
    return absl::OkStatus();
  }

 private:
  std::vector<weights::TensorInfo> infos_;
  std::vector<std::vector<std::byte>> bytes_;
};

// What becomes of one weight's maxima: codes, nested maxima and offset.
ops::Nf4Tensor Repack(const ops::Nf4Tensor& stored) {
  const Tensor rounded = ops::RestoreAbsmax(stored).to(torch::kBFloat16).to(torch::kFloat);
  ops::Nf4Tensor repacked{.shape = stored.shape, .packed = stored.packed};
  repacked.offset = static_cast<float>(rounded.to(torch::kDouble).mean().item<double>());
  ops::QuantiseAbsmax(rounded, repacked.offset, repacked.absmax_codes, repacked.nested_absmax);
  return repacked;
}

StatusOr<std::vector<std::byte>> StateWithOffset(std::span<const std::byte> text, float offset) {
  auto state =
      nlohmann::json::parse(reinterpret_cast<const char*>(text.data()),
                            reinterpret_cast<const char*>(text.data() + text.size()), nullptr, false);
  if (!state.is_object())
    return absl::InvalidArgumentError("the state of a 4-bit weight is not a JSON object");
  state["nested_offset"] = offset;
  const std::string changed = state.dump();
  const auto* begin = reinterpret_cast<const std::byte*>(changed.data());
  return std::vector<std::byte>(begin, begin + changed.size());
}

}  // namespace

StatusOr<std::unique_ptr<weights::TensorSource>> RepackedBase(const weights::TensorSource& stored) {
  std::vector<std::pair<weights::TensorInfo, std::vector<std::byte>>> tensors;
  for (weights::TensorInfo info : stored.tensors()) {
    ASSIGN_OR_RETURN(const uint64_t size, weights::StoredBytes(info.dtype, info.elements()));
    std::vector<std::byte> bytes(size);
    RETURN_IF_ERROR(stored.ReadBytes(*stored.Find(info.name), bytes));
    for (const std::string_view suffix :
         {std::string_view(".absmax"), std::string_view(".nested_absmax"), kState}) {
      if (!info.name.ends_with(suffix)) continue;
      const std::string weight = info.name.substr(0, info.name.size() - suffix.size());
      ASSIGN_OR_RETURN(const ops::Nf4Tensor tensor, params::ReadBnbNf4(stored, weight));
      const ops::Nf4Tensor repacked = Repack(tensor);
      if (suffix == ".absmax") bytes = BytesOf(repacked.absmax_codes);
      if (suffix == ".nested_absmax") bytes = BytesOf(repacked.nested_absmax);
      if (suffix == kState) {
        ASSIGN_OR_RETURN(bytes, StateWithOffset(bytes, repacked.offset));
        info.shape = {static_cast<int64_t>(bytes.size())};
      }
      break;
    }
    tensors.emplace_back(std::move(info), std::move(bytes));
  }
  return std::make_unique<MemorySource>(std::move(tensors));
}

}  // namespace ft::rank
