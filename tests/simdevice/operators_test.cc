// Operators of LibTorch on the simulated device against the CPU's. Run lazily, eagerly and by seeds.
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simdevice/fallback.h"
#include "tests/simdevice/test_device.h"

namespace ft::simdevice {
namespace {

using testing::HasSubstr;
using torch::Tensor;

// One thread, so that death tests may fork.
class OneThread : public testing::Environment {
  void SetUp() override { at::set_num_threads(1); }
};
[[maybe_unused]] testing::Environment* const one_thread = testing::AddGlobalTestEnvironment(new OneThread);

class SimDeviceOperators : public testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(1);
    a_ = torch::randn({33, 65});
    b_ = torch::randn({65, 17});
  }
  Tensor a_, b_;
};

bool Same(const Tensor& device, const Tensor& host) {
  return device.device() == Gpu() && device.dtype() == host.dtype() && at::equal(device.cpu(), host);
}

TEST_F(SimDeviceOperators, TensorsAreMadeOnTheDevice) {
  const Tensor made = torch::empty({3, 4}, Gpu());
  EXPECT_EQ(made.device(), Gpu());
  EXPECT_TRUE(made.is_cuda());
  EXPECT_TRUE(Same(torch::zeros({4}, Gpu()), torch::zeros({4})));
  EXPECT_TRUE(Same(torch::full({4}, 2.5, Gpu()), torch::full({4}, 2.5)));
  EXPECT_TRUE(Same(torch::ones({3}, Gpu()), torch::ones({3})));
  EXPECT_TRUE(Same(torch::arange(7, Gpu()), torch::arange(7)));
  EXPECT_TRUE(Same(torch::tensor({1, 2, 3}, Gpu()), torch::tensor({1, 2, 3})));
  EXPECT_EQ(torch::empty({0, 5}, Gpu()).cpu().numel(), 0);
}

TEST_F(SimDeviceOperators, FreshMemoryIsNan) {
  EXPECT_TRUE(torch::empty({64}, Gpu()).cpu().isnan().all().item<bool>());
  EXPECT_TRUE(torch::empty({64}, torch::dtype(at::kBFloat16).device(Gpu())).cpu().isnan().all().item<bool>());
}

TEST_F(SimDeviceOperators, CopiesGoBothWays) {
  EXPECT_TRUE(Same(a_.to(Gpu()), a_));
  const Tensor device = a_.to(Gpu());
  EXPECT_TRUE(Same(device.t().contiguous(), a_.t().contiguous()));
  EXPECT_TRUE(Same(device.to(at::kBFloat16), a_.to(at::kBFloat16)));
  EXPECT_TRUE(Same(a_.to(Gpu(), at::kBFloat16), a_.to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(device.to(at::kCPU, at::kDouble), a_.to(at::kDouble)));
  EXPECT_TRUE(Same(device.clone(), a_));
  Tensor target = torch::zeros({4, 65}, Gpu());
  EXPECT_TRUE(Same(target.copy_(a_[0]), a_[0].expand({4, 65}).contiguous()));
}

TEST_F(SimDeviceOperators, Products) {
  EXPECT_TRUE(Same(at::mm(a_.to(Gpu()), b_.to(Gpu())), at::mm(a_, b_)));
  EXPECT_TRUE(Same(at::mm(b_.to(Gpu()).t(), a_.to(Gpu()).t()), at::mm(b_.t(), a_.t())));
  const Tensor c = torch::randn({33, 17});
  EXPECT_TRUE(Same(at::addmm(c.to(Gpu()), a_.to(Gpu()), b_.to(Gpu())), at::addmm(c, a_, b_)));
  Tensor empty = torch::empty({0}, Gpu());
  EXPECT_TRUE(Same(at::mm_out(empty, a_.to(Gpu()), b_.to(Gpu())), at::mm(a_, b_)));  // Resized.
}

TEST_F(SimDeviceOperators, ProductsWithATypeOfTheirOwn) {
  const Tensor a = a_.to(at::kBFloat16), b = b_.to(at::kBFloat16), c = torch::randn({33, 17});
  const Tensor product = at::mm(a.to(at::kFloat), b.to(at::kFloat));
  EXPECT_TRUE(Same(at::mm(a.to(Gpu()), b.to(Gpu()), at::kFloat), product));
  EXPECT_TRUE(Same(at::mm(a.to(Gpu()), b.to(Gpu()), at::kBFloat16), product.to(at::kBFloat16)));
  const Tensor sum = at::addmm(c, a.to(at::kFloat), b.to(at::kFloat), 1, 0.5);
  EXPECT_TRUE(Same(at::addmm(c.to(Gpu()), a.to(Gpu()), b.to(Gpu()), at::kFloat, 1, 0.5), sum));
  Tensor residual = c.to(Gpu());
  at::addmm_out(residual, residual, a.to(Gpu()), b.to(Gpu()), at::kFloat, 1, 1);
  EXPECT_TRUE(Same(residual, at::addmm(c, a.to(at::kFloat), b.to(at::kFloat))));
  EXPECT_THAT(Thrown([&] { at::mm(a_.to(Gpu()), b_.to(Gpu()), at::kBFloat16); }),
              HasSubstr("out_dtype must be the same as input dtype"));
  EXPECT_THAT(Thrown([&] { at::mm(a.to(Gpu()), b_.to(Gpu()), at::kFloat); }),
              HasSubstr("input dtypes must be the same"));
  EXPECT_THAT(Thrown([&] { at::mm(a.to(Gpu()), b, at::kFloat); }), HasSubstr("same device"));
  EXPECT_THAT(Thrown([&] { at::addmm(c.to(at::kHalf).to(Gpu()), a.to(Gpu()), b.to(Gpu()), at::kFloat); }),
              HasSubstr("self dtype must match either out_dtype or mat1 dtype"));
}

TEST_F(SimDeviceOperators, WritesInPlace) {
  Tensor device = a_.to(Gpu());
  device.add_(device).mul_(0.5);
  EXPECT_TRUE(Same(device, a_));
  Tensor out = torch::empty_like(device);
  at::add_out(out, device, device);
  EXPECT_TRUE(Same(out, a_ + a_));
  EXPECT_TRUE(Same(device.zero_(), torch::zeros_like(a_)));
  EXPECT_TRUE(Same(device.masked_fill_(device == 0, 3), torch::full_like(a_, 3)));
}

TEST_F(SimDeviceOperators, ViewsWriteThrough) {
  const auto write = [](Tensor t) {
    t.narrow(0, 1, 2).fill_(1);
    t.select(1, 0).add_(2);
    t.t().narrow(0, 5, 1).mul_(3);
    t.view({24}).slice(0, 3, 20, 4).add_(7);
    return t;
  };
  EXPECT_TRUE(Same(write(torch::zeros({4, 6}, Gpu())), write(torch::zeros({4, 6}))));
  EXPECT_TRUE(Same(torch::arange(6, Gpu()).view({2, 3}).expand({2, 2, 3}).reshape({12}),
                   torch::arange(6).view({2, 3}).expand({2, 2, 3}).reshape({12})));
}

TEST_F(SimDeviceOperators, ResizingKeepsTheBytes) {
  Tensor device = torch::arange(4, Gpu()).to(at::kFloat);
  device.resize_({2, 3});
  EXPECT_TRUE(at::equal(device.flatten().narrow(0, 0, 4).cpu(), torch::arange(4).to(at::kFloat)));
}

TEST_F(SimDeviceOperators, Selections) {
  const Tensor device = a_.to(Gpu()), rows = torch::tensor({3, 1, 7}), on_device = rows.to(Gpu());
  EXPECT_TRUE(Same(device.index_select(0, on_device), a_.index_select(0, rows)));
  EXPECT_TRUE(Same(device.index_select(1, on_device), a_.index_select(1, rows)));
  EXPECT_TRUE(Same(torch::zeros_like(device).index_copy_(0, on_device, device.narrow(0, 0, 3)),
                   torch::zeros_like(a_).index_copy_(0, rows, a_.narrow(0, 0, 3))));
  EXPECT_TRUE(Same(device.index({on_device}), a_.index({rows})));
  EXPECT_TRUE(Same(device.index({rows}), a_.index({rows})));  // Indices may be the host's, as on CUDA.
  EXPECT_TRUE(Same(device.index({device > 0}), a_.index({a_ > 0})));
  EXPECT_TRUE(Same(at::cat({device, device}), at::cat({a_, a_})));
  const auto [values, places] = at::topk(device, 3);
  const auto [host_values, host_places] = at::topk(a_, 3);
  EXPECT_TRUE(Same(values, host_values) && Same(places, host_places));
  EXPECT_TRUE(Same(device.argmax(-1), a_.argmax(-1)));
  EXPECT_TRUE(Same(std::get<0>(device.sort(1)), std::get<0>(a_.sort(1))));
  EXPECT_TRUE(Same(at::gather(device, 0, on_device.view({3, 1})), at::gather(a_, 0, rows.view({3, 1}))));
}

TEST_F(SimDeviceOperators, Reductions) {
  const Tensor device = a_.to(Gpu());
  EXPECT_TRUE(Same(device.sum(), a_.sum()));
  EXPECT_TRUE(Same(device.sum(0), a_.sum(0)));
  const auto [least, most] = at::aminmax(device);
  EXPECT_EQ(least.item<float>(), a_.min().item<float>());
  EXPECT_EQ(most.item<float>(), a_.max().item<float>());
  EXPECT_TRUE(at::isfinite(device).all().item<bool>());
  EXPECT_TRUE(at::equal(device, a_.to(Gpu())));
  EXPECT_TRUE(Same(at::softmax(device, 1), at::softmax(a_, 1)));
  EXPECT_TRUE(Same(at::logsumexp(device, {1}), at::logsumexp(a_, {1})));
}

TEST_F(SimDeviceOperators, ListsOfTensors) {
  std::vector<Tensor> device = {a_.to(Gpu()), b_.to(Gpu())}, host = {a_.clone(), b_.clone()};
  at::_foreach_add_(device, device);
  at::_foreach_add_(host, host);
  EXPECT_TRUE(Same(device[0], host[0]) && Same(device[1], host[1]));
  EXPECT_TRUE(Same(at::_foreach_norm(device)[1], at::_foreach_norm(host)[1]));
  at::_foreach_mul_(device, 0.5);
  at::_foreach_mul_(host, 0.5);
  EXPECT_TRUE(Same(device[0], host[0]));
}

TEST_F(SimDeviceOperators, FusedAdamW) {
  const auto step = [](at::Device device) {
    torch::manual_seed(3);
    Tensor value = torch::randn({64}).to(device);
    const Tensor gradient = torch::randn({64}).to(device), first = torch::zeros({64}, device),
                 second = torch::zeros({64}, device), steps = torch::full({}, 1.0f, device);
    at::_fused_adamw_({value}, {gradient}, {first}, {second}, {}, {steps}, 1e-3, 0.9, 0.999, 0.01, 1e-8,
                      false, false);
    return value;
  };
  EXPECT_TRUE(Same(step(Gpu()), step(at::kCPU)));
}

TEST_F(SimDeviceOperators, EmbeddingGradients) {
  const Tensor ids = torch::tensor({1, 2, 1}), gradient = torch::randn({3, 4});
  EXPECT_TRUE(Same(at::embedding_dense_backward(gradient.to(Gpu()), ids.to(Gpu()), 5, -1, false),
                   at::embedding_dense_backward(gradient, ids, 5, -1, false)));
}

struct Square : torch::autograd::Function<Square> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x) {
    context->save_for_backward({x});
    return x * x;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    return {2 * context->get_saved_variables()[0] * gradients[0]};
  }
};

TEST_F(SimDeviceOperators, Gradients) {
  const auto gradients = [&](at::Device device) {
    const Tensor x = a_.to(device).requires_grad_(), w = b_.to(device).requires_grad_();
    return torch::autograd::grad({at::mm(x, w).tanh().sum()}, {x, w});
  };
  const auto device = gradients(Gpu()), host = gradients(at::kCPU);
  EXPECT_TRUE(Same(device[0], host[0]) && Same(device[1], host[1]));
  const Tensor x = a_.to(Gpu()).requires_grad_();
  EXPECT_TRUE(at::allclose(torch::autograd::grad({Square::apply(Square::apply(x)).sum()}, {x})[0].cpu(),
                           4 * a_ * a_ * a_));
  const Tensor handle = torch::zeros({1}, Gpu()).expand({8, 9}).detach().requires_grad_();
  EXPECT_EQ(handle.numel(), 72);
}

TEST_F(SimDeviceOperators, NumbersOfTheHostAreTakenAsTheyAre) {
  Tensor number = torch::tensor(2.0f);
  const Tensor device = a_.to(Gpu());
  const Tensor product = device * number;
  number.fill_(5);
  EXPECT_TRUE(Same(product, a_ * 2));
  const Tensor half = a_.to(at::kBFloat16);
  EXPECT_TRUE(Same(half.to(Gpu()) * 2.5, half * 2.5));  // The number does not widen the type.
}

TEST_F(SimDeviceOperators, OnlyWhatNeedsValuesMakesTheHostWait) {
  Device& device = Device::At(0);
  const Tensor x = a_.to(Gpu()), rows = torch::tensor({1, 2}).to(Gpu());
  const uint64_t before = device.work_stats().flushes;
  const Tensor y = at::mm(x, b_.to(at::kFloat).to(Gpu(), at::kFloat, /*non_blocking=*/false)).add_(1).tanh();
  EXPECT_EQ(device.work_stats().flushes, before + 1);  // The copy from pageable memory.
  const Tensor z = y.index_select(0, rows).sum(1);
  std::vector<Tensor> list = {z};
  at::_foreach_mul_(list, 2);
  EXPECT_EQ(device.work_stats().flushes, before + 1);
  z[0].item<float>();
  EXPECT_EQ(device.work_stats().flushes, before + 2);
  y.nonzero();
  EXPECT_GT(device.work_stats().flushes, before + 2);
  EXPECT_GT(FallbackCounts().at("aten::nonzero").waited, 0);
  EXPECT_GT(FallbackCounts().at("aten::mm.out").given, 0);
}

TEST_F(SimDeviceOperators, StatisticsAreThoseOfTheCachingAllocator) {
  // On a device where no test runs backward: autograd's thread may drop its last tensor after backward has returned.
  if (Device::Count() < 2) GTEST_SKIP() << "FT_SIM_DEVICES is 1";
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(at::kCUDA);
  const auto bytes = [&] { return allocator->getDeviceStats(1).allocated_bytes[0]; };
  const int64_t before = bytes().current;
  allocator->resetPeakStats(1);
  {
    const Tensor large = torch::empty({1 << 20}, Gpu(1));
    EXPECT_EQ(bytes().current, before + (4 << 20));
    EXPECT_EQ(allocator->getMemoryInfo(1).second - allocator->getMemoryInfo(1).first,
              static_cast<size_t>(bytes().current));
  }
  EXPECT_EQ(bytes().current, before);
  EXPECT_EQ(bytes().peak, before + (4 << 20));
}

TEST_F(SimDeviceOperators, TooMuchIsOutOfMemory) {
  EXPECT_THROW(torch::empty({int64_t{1} << 34}, Gpu()), c10::OutOfMemoryError);
  EXPECT_TRUE(Same(a_.to(Gpu()), a_));  // And goes on.
}

struct LargeGradient : torch::autograd::Function<LargeGradient> {
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return x * 2; }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    torch::empty({int64_t{1} << 34}, gradients[0].options());
    return {gradients[0]};
  }
};

TEST_F(SimDeviceOperators, OutOfMemoryKeepsItsTypeThroughBackward) {
  const Tensor x = a_.to(Gpu()).requires_grad_();
  EXPECT_THROW(torch::autograd::grad({LargeGradient::apply(x).sum()}, {x}), c10::OutOfMemoryError);
}

TEST_F(SimDeviceOperators, MixedDevicesAreRefused) {
  EXPECT_THAT(Thrown([&] { at::mm(a_.to(Gpu()), b_); }),
              HasSubstr("Expected all tensors to be on the same device"));
  EXPECT_THAT(Thrown([&] { at::mm(a_, b_.to(Gpu())); }), HasSubstr("same device"));
  EXPECT_THAT(Thrown([&] { a_.to(Gpu()) + a_; }), HasSubstr("same device"));
  EXPECT_THAT(Thrown([&] { at::cat({a_.to(Gpu()), a_}); }), HasSubstr("same device"));
  EXPECT_THAT(Thrown([&] { a_.to(Gpu()).index_select(0, torch::tensor({1})); }), HasSubstr("same device"));
  Tensor host = torch::zeros({33, 65});
  EXPECT_THAT(Thrown([&] { at::add_out(host, a_.to(Gpu()), a_.to(Gpu())); }), HasSubstr("same device"));
  Tensor number = torch::zeros({});
  EXPECT_THAT(Thrown([&] { at::sum_out(number, a_.to(Gpu()), at::OptionalIntArrayRef()); }),
              HasSubstr("same device"));
  const Tensor value = torch::zeros({4}, Gpu());
  EXPECT_THAT(Thrown([&] {
                at::_fused_adamw_({value}, {value}, {value}, {value}, {}, {torch::full({}, 1.0f)}, 1e-3, 0.9,
                                  0.999, 0, 1e-8, false, false);
              }),
              HasSubstr("same device"));
}

TEST_F(SimDeviceOperators, NothingIsDrawnOnTheDevice) {
  EXPECT_THAT(Thrown([] { torch::randn({4}, Gpu()); }), HasSubstr("draws no random numbers"));
  EXPECT_THAT(Thrown([] { torch::empty({4}, Gpu()).uniform_(); }), HasSubstr("draws no random numbers"));
}

TEST_F(SimDeviceOperators, AnErrorOfTheCallIsThrownByTheCall) {
  EXPECT_THAT(Thrown([&] { at::mm(a_.to(Gpu()), a_.to(Gpu())); }), HasSubstr("cannot be multiplied"));
  EXPECT_THAT(Thrown([&] { a_.to(Gpu()).index_select(5, torch::tensor({1}).to(Gpu())); }),
              HasSubstr("Dimension out of range"));
}

}  // namespace
}  // namespace ft::simdevice
