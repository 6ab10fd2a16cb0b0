// The kernel table of libft_sim.so, opened as a rank opens libft_cuda.so: every body gives the bits of its emulation on the host, and none
// may be given an address that is not its device's.
#include "worker/train/cuda/cuda_library.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cstdlib>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simdevice/test_device.h"
#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/norm.h"
#include "worker/model/params/resident_slot.h"
#include "worker/train/cuda/table.h"

extern "C" const ft::cuda::Table* FtCudaTable();

namespace ft::simdevice {
namespace {

using kernels::BF16;
using testing::HasSubstr;
using torch::Tensor;

constexpr int64_t kRows = 7, kChannels = 37;

class SimDeviceKernels : public testing::Test {
 protected:
  void SetUp() override {
    const Status opened = cuda::OpenCudaLibrary(FT_SIM_LIBRARY);
    ASSERT_TRUE(opened.ok()) << opened;
    torch::manual_seed(2);
  }
  static const ops::KernelTable& Table() { return ops::KernelsFor(torch::empty({1}, Gpu())); }
};

// Arrays of a body, on one device.
struct Arrays {
  at::Device device;
  std::vector<Tensor> all = {};

  template <typename T>
  T* Put(const Tensor& values) {
    all.push_back(values.to(device, /*non_blocking=*/false, /*copy=*/true));
    return static_cast<T*>(all.back().data_ptr());
  }
};

template <typename T>
at::ScalarType TypeOf() {
  return std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;
}
template <typename T>
Tensor Values(int64_t count = kRows * kChannels) {
  torch::manual_seed(count);
  return torch::randn({count}).to(TypeOf<T>());
}

// Launches what `make` builds over arrays of the device, and emulates it over the host's.
template <typename Launcher, typename Make>
void ExpectSameBits(Launcher launcher, Make make) {
  Arrays host{at::kCPU}, device{Gpu()};
  kernels::Emulate(make(host));
  ASSERT_EQ(launcher(make(device), &CurrentStream(Device::At(0))), 0);
  for (size_t i = 0; i < host.all.size(); ++i)
    EXPECT_TRUE(at::equal(device.all[i].cpu(), host.all[i])) << "array " << i;
}

template <typename T>
void ExpectElementwiseKernels(const ops::KernelsOf<T>& table) {
  ExpectSameBits(table.dropout, [](Arrays& a) {
    kernels::DropoutBody<T> body;
    body.shape = {
        77,  a.Put<uint64_t>(torch::arange(kRows)), a.Put<int64_t>(torch::arange(kRows)), 1, 2, kChannels,
        0.3f};
    body.rows = kRows;
    body.x = a.Put<T>(Values<T>());
    body.y = a.Put<T>(Values<T>());
    return body;
  });
  ExpectSameBits(table.rope, [](Arrays& a) {
    kernels::RopeBody<T> body;
    body.shape = {10};
    body.rows = kRows;
    body.angles = {a.Put<float>(Values<float>(kRows * 5)), a.Put<float>(Values<float>(kRows * 5)),
                   a.Put<int32_t>(torch::arange(kRows, torch::kInt32).flip(0))};
    body.queries = {3, a.Put<T>(Values<T>(kRows * 30)), a.Put<T>(Values<T>(kRows * 30))};
    body.keys = {1, a.Put<T>(Values<T>(kRows * 10)), a.Put<T>(Values<T>(kRows * 10))};
    return body;
  });
  ExpectSameBits(table.swiglu_forward, [](Arrays& a) {
    return kernels::SwigluForwardBody<T>{99, a.Put<T>(Values<T>(99)), a.Put<T>(Values<T>(99)),
                                         a.Put<T>(Values<T>(99))};
  });
  ExpectSameBits(table.swiglu_backward, [](Arrays& a) {
    const kernels::SwigluIn<T> in{a.Put<T>(Values<T>(99)), a.Put<T>(Values<T>(99)), a.Put<T>(Values<T>(99))};
    return kernels::SwigluBackwardBody<T>{99, in, a.Put<T>(Values<T>(99)), a.Put<T>(Values<T>(99))};
  });
}

template <typename T>
kernels::RmsNormGradient<T> NormInputs(Arrays& a) {
  return {a.Put<float>(Values<float>()), a.Put<T>(Values<T>()), a.Put<float>(Values<float>(kChannels)),
          a.Put<float>(Values<float>(kRows))};
}

template <typename T>
void ExpectReducingKernels(const ops::KernelsOf<T>& table) {
  const kernels::RmsNormShape shape{kChannels, 1e-5f};
  ExpectSameBits(table.rms_norm_forward, [&](Arrays& a) {
    return kernels::RmsNormForwardBody<T>{shape,
                                          kRows,
                                          a.Put<float>(Values<float>()),
                                          a.Put<float>(Values<float>(kChannels)),
                                          a.Put<T>(Values<T>()),
                                          a.Put<float>(Values<float>(kRows))};
  });
  ExpectSameBits(table.rms_norm_backward, [&](Arrays& a) {
    return kernels::RmsNormBackwardBody<T>{shape, kRows, NormInputs<T>(a), a.Put<float>(Values<float>())};
  });
  ExpectSameBits(table.rms_norm_weight_gradient, [&](Arrays& a) {
    return kernels::RmsNormWeightGradientBody<T>{shape, kRows, NormInputs<T>(a),
                                                 a.Put<float>(Values<float>(kChannels))};
  });
  ExpectSameBits(table.column_sum, [](Arrays& a) {
    return kernels::ColumnSumBody<T>{kRows, kChannels, a.Put<T>(Values<T>()),
                                     a.Put<float>(Values<float>(kChannels))};
  });
  ExpectSameBits(table.cross_entropy, [](Arrays& a) {
    kernels::CrossEntropyBody<T> body;
    body.shape = {kChannels, true, 0.5f};
    body.rows = kRows;
    body.targets = a.Put<int64_t>(torch::arange(kRows));
    body.logits = a.Put<T>(Values<T>());
    body.loss = a.Put<double>(torch::zeros({kRows}, at::kDouble));
    return body;
  });
}

TEST_F(SimDeviceKernels, EveryBodyGivesTheBitsOfItsEmulation) {
  ExpectElementwiseKernels<float>(Table().f32);
  ExpectElementwiseKernels<BF16>(Table().bf16);
  ExpectReducingKernels<float>(Table().f32);
  ExpectReducingKernels<BF16>(Table().bf16);
}

TEST_F(SimDeviceKernels, NumberFormatsToo) {
  const int64_t count = 333, blocks = kernels::Nf4Blocks(count);
  ExpectSameBits(Table().nf4_quantise, [&](Arrays& a) {
    return kernels::Nf4QuantiseBody{a.Put<float>(Values<float>(count)), count,
                                    a.Put<uint8_t>(torch::zeros({(count + 1) / 2}, at::kByte)),
                                    a.Put<float>(torch::zeros({blocks}))};
  });
  ExpectSameBits(Table().f32.nf4_dequantise, [&](Arrays& a) {
    return kernels::Nf4DequantiseBody<float>{a.Put<uint8_t>(torch::arange((count + 1) / 2, at::kByte)),
                                             {.absmax = a.Put<float>(Values<float>(blocks))},
                                             /*rows=*/9,
                                             /*columns=*/37,
                                             a.Put<float>(torch::zeros({9 * 40})),
                                             /*stride=*/40};
  });
  ExpectSameBits(Table().bf16.nf4_dequantise, [&](Arrays& a) {
    const kernels::NestedIn nested{a.Put<uint8_t>(torch::arange(blocks, at::kByte)),
                                   a.Put<float>(Values<float>(1)), 0.25f};
    return kernels::Nf4DequantiseBody<BF16>{a.Put<uint8_t>(torch::arange((count + 1) / 2, at::kByte)),
                                            {.nested = nested, .map = a.Put<float>(Values<float>(256))},
                                            /*rows=*/1,
                                            count,
                                            a.Put<BF16>(torch::zeros({count}, at::kBFloat16)),
                                            count};
  });
  ExpectSameBits(Table().swiglu_forward_rounded, [&](Arrays& a) {
    const auto out = [&] { return a.Put<BF16>(torch::zeros({count}, at::kBFloat16)); };
    return kernels::SwigluForwardRoundedBody{/*rows=*/3,
                                             /*columns=*/100,
                                             a.Put<float>(Values<float>(count)),
                                             a.Put<float>(Values<float>(count)),
                                             {out(), out(), out()},
                                             /*in_stride=*/111,
                                             /*y_stride=*/105};
  });
  ExpectSameBits(Table().nested_dequantise, [&](Arrays& a) {
    const kernels::NestedIn in{a.Put<uint8_t>(torch::arange(200, at::kByte)), a.Put<float>(Values<float>(1)),
                               0.25f};
    return kernels::NestedDequantiseBody{in, a.Put<float>(Values<float>(256)), 200,
                                         a.Put<float>(torch::zeros({200}))};
  });
}

TEST_F(SimDeviceKernels, AnOperationLaunchesThem) {
  const Tensor x = torch::randn({kRows, kChannels}), weight = torch::randn({kChannels});
  const ops::NormOptions options{1e-5, at::kBFloat16};
  const params::ResidentSlot host("norm", weight), device("norm", weight.to(Gpu()));
  const Tensor expected = ops::RmsNorm(x, host, options), actual = ops::RmsNorm(x.to(Gpu()), device, options);
  EXPECT_EQ(actual.device(), Gpu());
  EXPECT_TRUE(at::allclose(actual.cpu().to(at::kFloat), expected.to(at::kFloat), 1e-2, 1e-2));
}

TEST_F(SimDeviceKernels, KernelsWaitInTheirStream) {
  const Lazily lazily;
  const Tensor values = torch::ones({8}, Gpu()), out = torch::empty({4}, Gpu());
  const kernels::ColumnSumBody<float> body{2, 4, values.data_ptr<float>(), out.data_ptr<float>()};
  const uint64_t before = Device::At(0).work_stats().flushes;
  ops::Launch(values, &ops::KernelsOf<float>::column_sum, body);
  EXPECT_EQ(Device::At(0).work_stats().flushes, before);
  EXPECT_TRUE(at::equal(out.cpu(), torch::full({4}, 2.0f)));
}

// What a launch on the device of `on` answers.
std::string Refusal(const Tensor& on, const float* values, float* out) {
  const kernels::ColumnSumBody<float> body{1, 4, values, out};
  return Thrown([&] { ops::Launch(on, &ops::KernelsOf<float>::column_sum, body); });
}

TEST_F(SimDeviceKernels, AnAddressOfTheHostIsRefusedAtLaunch) {
  const Tensor host = torch::zeros({4});
  Tensor device = torch::zeros({4}, Gpu());
  EXPECT_EQ(Refusal(device, device.data_ptr<float>(), device.data_ptr<float>()), "");
  EXPECT_THAT(Refusal(device, host.data_ptr<float>(), device.data_ptr<float>()),
              HasSubstr("an address of the host"));
  EXPECT_THAT(Refusal(device, device.data_ptr<float>(), host.data_ptr<float>()),
              HasSubstr("an address of the host"));
  const params::ResidentSlot weight("norm", torch::ones({kChannels}));
  EXPECT_THAT(Thrown([&] {
                ops::RmsNorm(torch::ones({kRows, kChannels}, Gpu()), weight, {1e-5, at::kFloat});
              }),
              HasSubstr("an address of the host"));
}

TEST_F(SimDeviceKernels, FreedMemoryIsRefusedAtLaunch) {
  Tensor device = torch::zeros({4}, Gpu());
  float* address = torch::zeros({4}, Gpu()).data_ptr<float>();
  EXPECT_THAT(Refusal(device, address, device.data_ptr<float>()),
              HasSubstr("memory of the device that is free"));
}

TEST_F(SimDeviceKernels, MemoryOfAnotherDeviceIsRefusedAtLaunch) {
  if (Device::Count() < 2) GTEST_SKIP() << "FT_SIM_DEVICES is 1";
  Tensor device = torch::zeros({4}, Gpu(0)), other = torch::zeros({4}, Gpu(1));
  EXPECT_THAT(Refusal(device, other.data_ptr<float>(), device.data_ptr<float>()),
              HasSubstr("memory of another device"));
}

TEST_F(SimDeviceKernels, AProgramThatDoesNotAllowItCannotBeToldOfALibrary) {
  ASSERT_EQ(::setenv("FT_CUDA_LIBRARY", FT_SIM_LIBRARY, 1), 0);
  EXPECT_EQ(cuda::CudaLibraryPath().filename(), "libft_cuda.so");
  ASSERT_EQ(::unsetenv("FT_CUDA_LIBRARY"), 0);
}

TEST_F(SimDeviceKernels, AMemoryShareIsACapacity) {
  const cuda::Table* table = FtCudaTable();
  table->set_memory_share(0, 0.5);
  EXPECT_EQ(Device::At(0).capacity(), EnvironmentSettings().memory / 2);
  table->set_memory_share(0, 1);
}

// Queries and keys of a layer turn in one launch, there and back, with the host's bits.
TEST_F(SimDeviceKernels, QueriesAndKeysAreRotatedByOneLaunch) {
  constexpr int64_t kHeads = 4, kKeyHeads = 2, kSize = 6, kPositions = 9;
  const Tensor angles = torch::rand({kPositions, kSize / 2});
  const ops::RopeTable host{.cosine_LP = at::cos(angles),
                            .sine_LP = at::sin(angles),
                            .position_N = torch::tensor({0, 1, 2, 0, 1, 8, 3}, torch::kInt32)};
  const ops::RopeTable table{.cosine_LP = host.cosine_LP.to(Gpu()),
                             .sine_LP = host.sine_LP.to(Gpu()),
                             .position_N = host.position_N.to(Gpu())};
  const std::vector<ops::HeadsOfLayer> layers = {{kHeads, true}, {kKeyHeads, true}, {kKeyHeads, false}};
  std::vector<Tensor> outputs, on_device;
  for (const ops::HeadsOfLayer& layer : layers) {
    outputs.push_back(torch::randn({kRows, layer.heads * kSize}));
    on_device.push_back(outputs.back().to(Gpu()));
  }
  const ops::RotaryEpilogue expected(host, layers), epilogue(table, layers);
  const auto launches = [] { return Device::At(0).work_stats().operations; };
  const uint64_t before = launches();
  const std::vector<Tensor> heads = epilogue.Forward(on_device, at::kFloat, nullptr);
  const uint64_t between = launches();
  const std::vector<Tensor> back = epilogue.Backward(heads, {});
  EXPECT_EQ(between - before, 1u);
  EXPECT_EQ(launches() - between, 1u);
  const std::vector<Tensor> host_heads = expected.Forward(outputs, at::kFloat, nullptr);
  const std::vector<Tensor> host_back = expected.Backward(host_heads, {});
  for (size_t i = 0; i < layers.size(); ++i) {
    EXPECT_TRUE(torch::equal(heads[i].cpu(), host_heads[i])) << i;
    EXPECT_TRUE(torch::equal(back[i].cpu(), host_back[i])) << i;
  }
}

}  // namespace
}  // namespace ft::simdevice
