#include "tests/golden/gpu_check.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdio>
#include <functional>
#include <memory>

#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/linear.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/ops/norm.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/resident_slot.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft::golden {
namespace {

using torch::Tensor;

constexpr int64_t kRows = 37, kChannels = 515;

// An operation's results on one device; inputs are drawn on the CPU from a fixed seed and moved there.
using Operation = std::function<std::vector<Tensor>(at::Device device)>;

struct Check {
  const char* name;
  double limit;  // Largest difference allowed, relative to the largest value.
  Operation run;
};

Tensor Draw(at::IntArrayRef shape, at::Device device, at::ScalarType type = torch::kFloat) {
  return torch::randn(shape).to(type).to(device);
}

// The output and the gradients of `inputs` for an output gradient drawn like them.
std::vector<Tensor> WithGradients(const Tensor& y, const std::vector<Tensor>& inputs, at::Device device) {
  std::vector<Tensor> results =
      torch::autograd::grad({y}, inputs, {Draw(y.sizes(), device, y.scalar_type())});
  results.push_back(y);
  return results;
}

std::vector<Tensor> WithBackward(const ops::Epilogue& epilogue, const std::vector<Tensor>& inputs,
                                 at::Device device) {
  std::vector<Tensor> saved, results = epilogue.Forward(inputs, torch::kFloat, &saved);
  const std::vector<Tensor> gradients = epilogue.Backward({Draw(results[0].sizes(), device)}, saved);
  results.insert(results.end(), gradients.begin(), gradients.end());
  return results;
}

std::vector<Tensor> Norm(at::Device device) {
  const Tensor x = Draw({kRows, kChannels}, device).requires_grad_();
  params::ParameterStore store(plan::SliceTable::Of({{"weight", {kChannels}}}), device);
  store.value(0).copy_(Draw({kChannels}, device));
  const params::TrainedSlot weight(store, 0);
  return WithGradients(ops::RmsNorm(x, weight, {1e-5, torch::kFloat}), {x, weight.handle()}, device);
}

std::vector<Tensor> Rotary(at::Device device) {
  const ops::RotaryEpilogue rotary({Draw({kRows, 17}, device), Draw({kRows, 17}, device)}, {{3, true}});
  return WithBackward(rotary, {Draw({kRows, 3 * 34}, device)}, device);
}

std::vector<Tensor> Gate(at::Device device) {
  return WithBackward(ops::GateEpilogue(),
                      {Draw({kRows, kChannels}, device), Draw({kRows, kChannels}, device)}, device);
}

std::vector<Tensor> DropoutRows(at::Device device) {
  const std::vector<uint64_t> samples(kRows, 5);
  const std::vector<int64_t> positions(kRows, 9);
  const ops::DropoutSite dropout{ops::MakeDropoutRows(1, 2, samples, positions, device), 3, 4, 0.3f};
  return {ops::Dropout(Draw({kRows, kChannels}, device), dropout)};
}

std::vector<Tensor> Dequantise(at::Device device) {
  ops::Nf4Tensor tensor = ops::QuantiseNf4(Draw({kRows, kChannels}, at::kCPU));
  for (Tensor* part : {&tensor.packed, &tensor.absmax_codes, &tensor.nested_absmax}) *part = part->to(device);
  // Rows that begin where 16 bytes do, and rows that do not; the rest of a row stays as it was.
  std::vector<Tensor> results = {ops::DequantiseNf4(tensor, torch::kFloat),
                                 ops::DequantiseNf4(tensor, torch::kBFloat16)};
  for (const int64_t stride : {kChannels + 5, kChannels + 6}) {
    results.push_back(torch::ones({kRows, stride}, at::TensorOptions(device).dtype(torch::kBFloat16)));
    ops::DequantiseNf4Into(tensor, results.back().narrow(1, 0, kChannels));
  }
  return results;
}

// Forward and backward products of two layers in NF4 with adapters, as one sum each, in `type`.
std::vector<Tensor> Products(at::Device device, at::ScalarType type) {
  std::vector<ops::FusedGemm> gemms;
  std::vector<std::unique_ptr<ops::WeightSlot>> slots;
  const auto frozen = [&](int64_t outputs, int64_t inputs) {
    slots.push_back(std::make_unique<params::Nf4Slot>(
        "weight", ops::ToDevice(ops::QuantiseNf4(Draw({outputs, inputs}, at::kCPU)), device)));
    return slots.back().get();
  };
  const Tensor x = Draw({kRows, kChannels}, device, type);
  ops::FusedGemm backward{.type = type};
  for (const int64_t outputs : {65, 128}) {
    const ops::WeightSlot *weight = frozen(outputs, kChannels), *a = frozen(8, kChannels),
                          *b = frozen(outputs, 8);
    gemms.push_back(
        {.terms = {{x, weight, {}, true}, {Draw({kRows, 8}, device, type), b, {}, true}}, .type = type});
    backward.terms.push_back({Draw({kRows, outputs}, device, type), weight, {}, false});
    backward.terms.push_back({Draw({kRows, 8}, device, type), a, {}, false});
  }
  gemms[0].start_NC = Draw({kRows, 65}, device);
  gemms[0].type = torch::kFloat;
  gemms.push_back(backward);
  return ops::Compute(gemms);
}

std::vector<Tensor> FloatProducts(at::Device device) { return Products(device, torch::kFloat); }
std::vector<Tensor> RoundedProducts(at::Device device) { return Products(device, torch::kBFloat16); }

std::vector<Tensor> Loss(at::Device device) {
  const params::ResidentSlot head("head", Draw({kChannels, 64}, device));
  const std::vector<int64_t> targets(kRows, 7);
  const ops::LossResult result = ops::CrossEntropy(Draw({kRows, 64}, device), head, targets, {true, 0.5});
  return {torch::tensor(result.losses.Sum(), torch::kDouble), result.dhidden_SC};
}

// Bit-equal where nothing is summed in another order and no exponential is taken.
const Check kChecks[] = {
    {"rms_norm", 1e-5, Norm},
    {"rope", 0, Rotary},
    {"swiglu", 1e-5, Gate},
    {"dropout", 0, DropoutRows},
    {"nf4_dequantise", 0, Dequantise},
    {"products", 1e-5, FloatProducts},
    {"products_bf16", 8e-3, RoundedProducts},  // One unit in the last place of the largest.
    {"cross_entropy", 1e-4, Loss},
};

double LargestDifference(const Check& check) {
  torch::manual_seed(11);
  const std::vector<Tensor> expected = check.run(at::kCPU);
  torch::manual_seed(11);
  const std::vector<Tensor> actual = check.run(at::Device(at::kCUDA, 0));
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const Tensor wanted = expected[i].detach().to(torch::kDouble);
    const Tensor difference = (actual[i].detach().cpu().to(torch::kDouble) - wanted).abs();
    largest = std::max(largest, difference.max().item<double>() / wanted.abs().max().item<double>());
  }
  return largest;
}

}  // namespace

StatusOr<bool> GpuCheckVerb(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return absl::InvalidArgumentError("expects no arguments");
  const Status opened = cuda::OpenCudaLibrary(cuda::CudaLibraryPath());
  if (absl::IsNotFound(opened)) return opened;
  ASSIGN_OR_RETURN(const std::string brought, cuda::DescribeCudaLibrary());
  std::printf("%s\n", brought.c_str());
  std::fflush(stdout);
  RETURN_IF_ERROR(opened);
  int failed = 0;
  for (const Check& check : kChecks) {
    const double difference = LargestDifference(check);
    const bool passed = difference <= check.limit;
    std::printf("%s %-16s largest difference %.2g, limit %.2g\n", passed ? "PASS" : "FAIL", check.name,
                difference, check.limit);
    failed += passed ? 0 : 1;
  }
  return failed == 0;
}

}  // namespace ft::golden
