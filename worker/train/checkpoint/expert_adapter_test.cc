#include "worker/train/checkpoint/expert_adapter.h"

#include <memory>

#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "worker/model/decoder/family.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/store_fixture.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::checkpoint {
namespace {

using torch::Tensor;

constexpr int64_t kRank = 2;

model::Layout SmallLayout(int64_t hidden = 8) {
  const auto config = model::ParseConfig(
      StrCat(R"({"model_type": "gpt_oss", "vocab_size": 10, "hidden_size": )", hidden,
             R"(, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
                 "intermediate_size": 6, "num_local_experts": 3, "num_experts_per_tok": 2})"),
      "config.json");
  EXPECT_TRUE(config.ok()) << config.status();
  return model::LayoutOf(*config);
}

// The tensors of an adapter of these modules, random.
std::vector<NamedTensor> Pairs(const model::Layout& layout, const std::vector<std::string>& modules) {
  at::Generator generator = at::detail::createCPUGenerator(8);
  std::vector<NamedTensor> tensors;
  for (const model::StoredWeight& weight : layout) {
    for (const std::string& module : modules) {
      if (!weight.name.ends_with(module + ".weight")) continue;
      const std::string whole = weight.name.substr(0, weight.name.rfind('.'));
      tensors.push_back({params::AdapterName(whole, 'A'), torch::randn({kRank, weight.shape[1]}, generator)});
      tensors.push_back({params::AdapterName(whole, 'B'), torch::randn({weight.shape[0], kRank}, generator)});
    }
  }
  return tensors;
}

class ExpertAdapter : public ::testing::Test {
 protected:
  std::filesystem::path Write(const model::Layout& layout, const std::vector<NamedTensor>& tensors) {
    std::vector<params::NamedTensor> values;
    for (const NamedTensor& tensor : tensors) values.push_back({tensor.name, tensor.tensor, {}});
    const params::PeftConfig config{
        .rank = kRank, .alpha = 4, .targets = {"gate_up_proj", "down_proj", "q_proj"}};
    const auto written =
        WriteAdapter({.dir = dir_ / "a", .config = config, .layout = layout}, *params::MakeStore(values));
    EXPECT_TRUE(written.ok()) << written.status();
    return dir_ / "a";
  }
  ft::testing::TempDir dir_;
};

TEST_F(ExpertAdapter, IsWrittenAsPeftHasItAndReadBack) {
  const model::Layout layout = SmallLayout();
  for (const std::vector<std::string>& modules :
       {std::vector<std::string>{"gate_up_proj", "down_proj", "q_proj"}, {"down_proj"}, {"gate_up_proj"}}) {
    const std::vector<NamedTensor> pairs = Pairs(layout, modules);
    const std::filesystem::path folder = Write(layout, pairs);
    auto adapter = OpenAdapter(folder);
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    EXPECT_EQ(adapter->tensors->tensors().size(), 2 * modules.size());
    ASSERT_TRUE(SplitExperts(layout, *adapter).ok());
    ASSERT_EQ(adapter->tensors->tensors().size(), pairs.size());
    for (const NamedTensor& pair : pairs) {
      const weights::TensorInfo* info = adapter->tensors->Find(pair.name);
      ASSERT_NE(info, nullptr) << pair.name;
      std::vector<float> values(info->elements());
      ASSERT_TRUE(weights::ReadFloat32(*adapter->tensors, *info, values).ok());
      EXPECT_TRUE(at::equal(torch::tensor(values).view(info->shape), pair.tensor)) << pair.name;
    }
  }
}

// A is the experts' one below the other; in B the experts count fastest.
TEST_F(ExpertAdapter, ColumnsAndRowsLieWherePeftLooksForThem) {
  const model::Layout layout = SmallLayout();
  const std::vector<NamedTensor> pairs = Pairs(layout, {"gate_up_proj", "down_proj"});
  const StatusOr<FusedAdapter> made = FuseExperts(layout, pairs);
  ASSERT_TRUE(made.ok()) << made.status();
  const FusedAdapter& fused = *made;
  ASSERT_EQ(fused.parameters.size(), 2u);
  EXPECT_EQ(fused.parameters.at("mlp.experts.down_proj").rank, kRank);
  EXPECT_EQ(fused.parameters.at("mlp.experts.gate_up_proj").rank, kRank);
  const auto find = [](const std::vector<NamedTensor>& tensors, const std::string& name) {
    for (const NamedTensor& tensor : tensors) {
      if (tensor.name == name) return tensor.tensor;
    }
    ADD_FAILURE() << name;
    return Tensor();
  };
  const std::string module = "model.layers.0.mlp.experts";
  const Tensor a = find(fused.tensors, params::AdapterName(module + ".base_layer", 'A')),
               b = find(fused.tensors, params::AdapterName(module + ".base_layer", 'B'));
  const Tensor own_a = find(pairs, params::AdapterName(module + ".1.gate_up_proj", 'A')),
               own_b = find(pairs, params::AdapterName(module + ".1.gate_up_proj", 'B'));
  EXPECT_EQ(a.sizes().vec(), (std::vector<int64_t>{3 * kRank, 8}));
  EXPECT_EQ(b.sizes().vec(), (std::vector<int64_t>{12, kRank * 3}));
  EXPECT_TRUE(at::equal(a[1 * kRank + 1], own_a[1]));
  EXPECT_TRUE(at::equal(b.select(1, 1 * 3 + 1), own_b.select(1, 1)));
  EXPECT_EQ(find(fused.tensors, params::AdapterName(module, 'A')).size(1), 6);
}

TEST_F(ExpertAdapter, APairOfAnotherModelIsRefused) {
  const model::Layout layout = SmallLayout();
  auto adapter = OpenAdapter(Write(layout, Pairs(layout, {"gate_up_proj", "down_proj"})));
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_EQ(Message(SplitExperts(SmallLayout(16), *adapter)),
            "the adapter's pair model.layers.0.mlp.experts.base_layer does not fit "
            "model.layers.0.mlp.experts.gate_up_proj: it belongs to another model");
}

}  // namespace
}  // namespace ft::checkpoint
