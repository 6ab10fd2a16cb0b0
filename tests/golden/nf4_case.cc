#include <cmath>
#include <set>

#include "tests/golden/case_files.h"
#include "tests/golden/quant_cases.h"
#include "worker/device/staging.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/params/bnb_checkpoint.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

StatusOr<Tensor> ReadStored(const weights::TensorSource& source, const std::string& name) {
  const weights::TensorInfo* info = source.Find(name);
  if (info == nullptr) return absl::NotFoundError(StrCat("there is no tensor ", name));
  return info->dtype == weights::DType::kU8 ? ExpectedCodes(source, name) : Expected(source, name);
}

// The number of elements that differ in any bit.
double Different(const Tensor& actual, const Tensor& expected) {
  if (actual.numel() != expected.numel()) return std::numeric_limits<double>::infinity();
  return static_cast<double>(at::ne(actual.cpu().flatten(), expected.flatten()).sum().item<int64_t>());
}

// One tensor of nf4.safetensors.
struct Nf4Fixture {
  const weights::TensorSource& source;
  std::string prefix;  // "100x96.float32."
  std::vector<Measure>& measures;

  StatusOr<Tensor> Get(const std::string& suffix) const { return ReadStored(source, prefix + suffix); }
  void MustEqual(const char* what, const Tensor& actual, const Tensor& expected) const {
    Record(measures, {what, Different(actual, expected), 0});
  }
};

Status CompareQuantised(const Nf4Fixture& fixture, const ops::Nf4Tensor& own) {
  ASSIGN_OR_RETURN(Tensor packed, fixture.Get("packed"));
  Tensor own_packed = own.packed;
  if (own.count() % 2 == 1) {  // The last byte's unused half means nothing.
    packed = packed.narrow(0, 0, packed.numel() - 1);
    own_packed = own_packed.narrow(0, 0, packed.numel());
  }
  fixture.MustEqual("codes", own_packed, packed);
  ASSIGN_OR_RETURN(const Tensor absmax, fixture.Get("absmax"));
  const ops::Nf4Tensor plain =
      ops::ToDevice({.shape = own.shape, .packed = own.packed, .absmax = absmax}, own.packed.device());
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const StatusOr<Tensor> expected = fixture.Get(type == at::kFloat ? "dequant_fp32" : "dequant_bf16");
    if (!expected.ok()) continue;  // Given for small tensors only.
    fixture.MustEqual("dequant", ops::DequantiseNf4(plain, type).to(torch::kFloat), *expected);
  }
  return absl::OkStatus();
}

// Double quantisation: own offset to one unit in the last place, indices and restored maxima from the given
// offset exactly.
Status CompareNested(const Nf4Fixture& fixture, const ops::Nf4Tensor& own) {
  ASSIGN_OR_RETURN(const Tensor offset, fixture.Get("dq.nested_offset"));
  ASSIGN_OR_RETURN(const Tensor nested, fixture.Get("dq.nested_absmax"));
  ASSIGN_OR_RETURN(const Tensor absmax, fixture.Get("absmax"));
  ASSIGN_OR_RETURN(const Tensor indices, fixture.Get("dq.absmax_u8_nearest"));
  ASSIGN_OR_RETURN(const Tensor restored, fixture.Get("dq.absmax_restored_nearest"));
  const float given = offset.item<float>();
  const float ulp = std::nextafterf(std::fabs(given), INFINITY) - std::fabs(given);
  Record(fixture.measures, {"offset_ulps", std::fabs(own.offset - given) / ulp, 1});
  ops::Nf4Tensor tensor{.shape = own.shape, .packed = own.packed, .offset = given};
  ops::QuantiseAbsmax(absmax, given, tensor.absmax_codes, tensor.nested_absmax);
  fixture.MustEqual("nested_absmax", tensor.nested_absmax, nested);
  if (absmax.numel() > 1) fixture.MustEqual("indices", tensor.absmax_codes, indices);
  tensor = ops::ToDevice(std::move(tensor), own.packed.device());
  fixture.MustEqual("absmax_restored", ops::RestoreAbsmax(tensor), restored);
  // The reference library's own indices must come back as its dequantised values.
  ASSIGN_OR_RETURN(tensor.absmax_codes, fixture.Get("dq.absmax_u8"));
  tensor = ops::ToDevice(std::move(tensor), own.packed.device());
  ASSIGN_OR_RETURN(const Tensor dequantised, fixture.Get("dq.dequant_fp32"));
  ASSIGN_OR_RETURN(const Tensor dequantised_bf16, fixture.Get("dq.dequant_bf16"));
  const Tensor own_values = ops::DequantiseNf4(tensor, at::kFloat);
  Record(fixture.measures, {"dq.dequant", LargestDifference(own_values, dequantised, 1), 1e-6});
  const Tensor own_bf16 = ops::DequantiseNf4(tensor, at::kBFloat16).to(torch::kFloat);
  Record(fixture.measures, {"dq.dequant_bf16", LargestDifference(own_bf16, dequantised_bf16, 1), 1e-6});
  return absl::OkStatus();
}

Status CompareCheckpoint(const fs::path& folder, at::Device device, std::vector<Measure>& measures) {
  std::error_code error;
  const fs::path file = folder / "bnb_4bit_checkpoint.safetensors";
  if (!fs::exists(file, error)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto stored, weights::OpenWeights(file));
  ASSIGN_OR_RETURN(const auto expected, OpenExpected(folder / "bnb_4bit_checkpoint_expected.safetensors"));
  ASSIGN_OR_RETURN(const Tensor wanted, Expected(*expected, "dequant_bf16"));
  double different = -1;
  for (const weights::TensorInfo& info : stored->tensors()) {
    if (!params::IsBnb4(*stored, info.name)) continue;
    ASSIGN_OR_RETURN(ops::Nf4Tensor read, params::ReadBnbNf4(*stored, info.name));
    const ops::Nf4Tensor tensor = ops::ToDevice(std::move(read), device);
    different = Different(ops::DequantiseNf4(tensor, at::kBFloat16).to(torch::kFloat), wanted);
  }
  if (different < 0) return absl::InvalidArgumentError(StrCat(file.string(), ": holds no 4-bit weight"));
  Record(measures, {"checkpoint", different, 0});
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<Measure>> Nf4Case(const fs::path& folder, at::Device device) {
  ASSIGN_OR_RETURN(const auto source, OpenExpected(folder / "nf4.safetensors"));
  std::vector<Measure> measures;
  ASSIGN_OR_RETURN(const Tensor codes, ReadStored(*source, "nf4_code"));
  ASSIGN_OR_RETURN(const Tensor signed_map, ReadStored(*source, "dynamic_map_signed"));
  ASSIGN_OR_RETURN(const Tensor unsigned_map, ReadStored(*source, "dynamic_map_unsigned"));
  const ops::DynamicMaps maps = ops::DynamicMapsOn(at::kCPU);
  Record(measures, {"tables",
                    Different(ops::Nf4CodeTable(), codes) + Different(maps.signed_map, signed_map) +
                        Different(maps.unsigned_map, unsigned_map),
                    0});
  for (const weights::TensorInfo& info : source->tensors()) {
    constexpr std::string_view kSuffix = "weight";
    if (!info.name.ends_with(".weight")) continue;
    const Nf4Fixture fixture{*source, info.name.substr(0, info.name.size() - kSuffix.size()), measures};
    ASSIGN_OR_RETURN(const Tensor weight, Expected(*source, info.name));
    const ops::Nf4Tensor own = ops::QuantiseNf4(device::Upload(weight.contiguous(), device));
    RETURN_IF_ERROR(CompareQuantised(fixture, own));
    RETURN_IF_ERROR(CompareNested(fixture, own));
  }
  RETURN_IF_ERROR(CompareCheckpoint(folder, device, measures));
  return measures;
}

}  // namespace ft::golden
