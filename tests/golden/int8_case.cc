#include <memory>

#include "tests/golden/case_files.h"
#include "tests/golden/quant_cases.h"
#include "worker/device/staging.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/linear.h"
#include "worker/model/params/int8_slot.h"
#include "worker/model/params/resident_slot.h"

namespace ft::golden {
namespace {

using torch::Tensor;

// Of codes, and of what is stored in a floating type; both as float32.
StatusOr<Tensor> ReadStored(const weights::TensorSource& source, const std::string& name) {
  const weights::TensorInfo* info = source.Find(name);
  if (info == nullptr) return absl::NotFoundError(StrCat("there is no tensor ", name));
  if (info->dtype != weights::DType::kI8) return Expected(source, name);
  Tensor codes = torch::empty(info->shape, torch::kInt8);
  RETURN_IF_ERROR(source.ReadBytes(*info, {static_cast<std::byte*>(codes.data_ptr()), codes.nbytes()}));
  return codes.to(torch::kFloat);
}

double Different(const Tensor& actual, const Tensor& expected) {
  return static_cast<double>(at::ne(actual.cpu().to(torch::kFloat), expected).sum().item<int64_t>());
}

// The largest difference as a share of the largest expected value.
double Share(const Tensor& actual, const Tensor& expected) {
  return ((actual.cpu() - expected).abs().max() / expected.abs().max()).item<double>();
}

}  // namespace

StatusOr<std::vector<Measure>> Int8Case(const std::filesystem::path& folder, at::Device device) {
  ASSIGN_OR_RETURN(const auto source, OpenExpected(folder / "int8.safetensors"));
  std::map<std::string, Tensor> stored;
  for (const char* name : {"weight", "bias", "x", "grad_y", "CB", "SCB", "CB.dequant_fp32",
                           "dequantised_product.y", "threshold6.y_float32", "threshold6.grad_x"}) {
    ASSIGN_OR_RETURN(stored[name], ReadStored(*source, name));
  }
  const ops::Int8Tensor own = ops::QuantiseInt8(device::Upload(stored["weight"].contiguous(), device));
  std::vector<Measure> measures;
  Record(measures, {"codes", Different(own.codes_OI, stored["CB"]), 0});
  Record(measures, {"absmax", Different(own.absmax_O, stored["SCB"]), 0});
  Record(measures,
         {"dequant", Different(ops::DequantiseInt8(own, torch::kFloat), stored["CB.dequant_fp32"]), 0});
  const params::Int8Slot weight("weight", own);
  const params::ResidentSlot bias("bias", device::Upload(stored["bias"], device));
  const Tensor x = device::Upload(stored["x"], device).requires_grad_();
  const Tensor y = ops::Linear(x, {.weight_OI = &weight, .bias_O = &bias});
  y.backward(device::Upload(stored["grad_y"], device));
  Record(measures, {"y", Share(y.detach(), stored["dequantised_product.y"]), 1e-3});
  Record(measures, {"grad_x", Share(x.grad(), stored["threshold6.grad_x"]), 1e-3});
  // The reference also rounds x to 8 bits, but for columns of outliers; decision 95 says why training here does not. So far apart are
  // the two: not more, or it would be other weights.
  Record(measures, {"y beside LLM.int8's", Share(y.detach(), stored["threshold6.y_float32"]), 1e-2});
  return measures;
}

}  // namespace ft::golden
