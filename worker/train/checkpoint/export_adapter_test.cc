// Adapters and models with experts, from one form into the other and back. Expected numbers follow from products of whole matrices.
#include "worker/train/checkpoint/export_adapter.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"
#include "worker/model/decoder/family.h"
#include "worker/model/params/adapters.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/train/checkpoint/expert_adapter.h"
#include "worker/train/checkpoint/write_model.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using torch::Tensor;

constexpr int kRank = 2;
constexpr const char* kExperts = "model.layers.0.mlp.experts";

std::string ConfigText(const std::string& family) {
  return json{{"model_type", family},    {"vocab_size", 10},         {"hidden_size", 8},
              {"num_hidden_layers", 1},  {"num_attention_heads", 2}, {"num_key_value_heads", 1},
              {"head_dim", 4},           {"intermediate_size", 6},   {"moe_intermediate_size", 6},
              {"num_experts", 3},        {"num_local_experts", 3},   {"num_experts_per_tok", 2},
              {"torch_dtype", "float32"}}
      .dump();
}

model::Layout LayoutOfFamily(const std::string& family) {
  const auto config = model::ParseConfig(ConfigText(family), "config.json");
  EXPECT_TRUE(config.ok()) << config.status();
  return model::LayoutOf(*config);
}

std::string ModuleOf(const std::string& weight) { return weight.substr(0, weight.rfind('.')); }

class ExportExperts : public ::testing::Test {
 protected:
  ExportExperts() { torch::manual_seed(11); }

  // An adapter of all matrices of experts and of the queries, each with an A of its own.
  void WriteSplit(const params::AdapterKind& kind = {}) {
    std::vector<NamedTensor> tensors;
    for (const model::StoredWeight& weight : layout_) {
      const std::string module = ModuleOf(weight.name);
      if (weight.role.expert == model::kNoExpert && !module.ends_with("q_proj")) continue;
      tensors.push_back({params::AdapterName(module, 'A'), torch::randn({kRank, weight.shape[1]})});
      tensors.push_back({params::AdapterName(module, 'B'), torch::randn({weight.shape[0], kRank})});
      if (kind.use_dora) tensors.push_back({params::MagnitudeName(module), torch::ones({weight.shape[0]})});
    }
    params::PeftConfig config{
        .rank = kRank, .alpha = 3, .kind = kind, .targets = {"q_proj", "gate_proj", "up_proj", "down_proj"}};
    ASSERT_TRUE(WriteAdapterFolder(dir_ / "split", config, {}, std::move(tensors)).ok());
  }
  Status Export(const char* from, const char* to, ExpertForm form) {
    return ExportAdapter({.adapter = dir_ / from, .out = dir_ / to, .form = form}, layout_).status();
  }
  // What the adapter adds to each matrix.
  std::map<std::string, Tensor> Products(const char* folder) {
    auto adapter = OpenAdapter(dir_ / folder);
    EXPECT_TRUE(adapter.ok()) << adapter.status();
    EXPECT_TRUE(SplitExperts(layout_, *adapter).ok());
    std::map<std::string, Tensor> products;
    for (const std::string& module : adapter->modules) {
      const auto value = [&](char which) {
        const weights::TensorInfo* info = adapter->tensors->Find(params::AdapterName(module, which));
        std::vector<float> values(info->elements());
        EXPECT_TRUE(weights::ReadFloat32(*adapter->tensors, *info, values).ok());
        return torch::tensor(values).view(info->shape);
      };
      products[module] = at::matmul(value('B'), value('A')) *
                         adapter->config.kind.ScaleOf(module, adapter->config.rank, adapter->config.alpha);
    }
    return products;
  }
  json ConfigOf(const char* folder) { return json::parse(*ReadFile(dir_ / folder / "adapter_config.json")); }

  ft::testing::TempDir dir_;
  model::Layout layout_ = LayoutOfFamily("qwen3_moe");
};

TEST_F(ExportExperts, AnAdapterAddsTheSameInEitherForm) {
  WriteSplit();
  ASSERT_TRUE(Export("split", "fused", ExpertForm::kFused).ok());
  ASSERT_TRUE(Export("fused", "again", ExpertForm::kSplit).ok());
  const std::map<std::string, Tensor> wanted = Products("split");
  ASSERT_EQ(wanted.size(), 3u * 3 + 1);
  for (const char* folder : {"fused", "again"}) {
    const std::map<std::string, Tensor> found = Products(folder);
    ASSERT_EQ(found.size(), wanted.size()) << folder;
    for (const auto& [module, product] : wanted)
      EXPECT_LT((found.at(module) - product).abs().max().item<float>(), 1e-5) << folder << " " << module;
  }
}

// Gate and up have an A each, so their tensor has both ranks, and its alpha keeps the scale.
TEST_F(ExportExperts, PeftFindsParametersWithRanksOfTheirOwn) {
  WriteSplit();
  ASSERT_TRUE(Export("split", "fused", ExpertForm::kFused).ok());
  const json config = ConfigOf("fused");
  EXPECT_EQ(config["target_parameters"], json({"mlp.experts.down_proj", "mlp.experts.gate_up_proj"}));
  EXPECT_EQ(config["target_modules"], json({"q_proj"}));
  EXPECT_EQ(config["rank_pattern"], json({{"mlp.experts.gate_up_proj", 2 * kRank}}));
  EXPECT_EQ(config["alpha_pattern"], json({{"mlp.experts.gate_up_proj", 6.0}}));
  const auto adapter = OpenAdapter(dir_ / "fused");
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  const auto shape = [&](const std::string& module, char which) {
    return adapter->tensors->Find(params::AdapterName(module, which))->shape;
  };
  // The first of two parameters is wrapped within the second.
  EXPECT_EQ(shape(StrCat(kExperts, ".base_layer"), 'A'), (std::vector<int64_t>{3 * 2 * kRank, 8}));
  EXPECT_EQ(shape(StrCat(kExperts, ".base_layer"), 'B'), (std::vector<int64_t>{12, 2 * kRank * 3}));
  EXPECT_EQ(shape(kExperts, 'A'), (std::vector<int64_t>{3 * kRank, 6}));
}

TEST_F(ExportExperts, AnAThatGateAndUpShareStaysOne) {
  WriteSplit();
  ASSERT_TRUE(Export("split", "fused", ExpertForm::kFused).ok());
  ASSERT_TRUE(Export("fused", "again", ExpertForm::kSplit).ok());
  ASSERT_TRUE(Export("again", "fused2", ExpertForm::kFused).ok());
  EXPECT_EQ(*ReadFile(dir_ / "fused/adapter_model.safetensors"),
            *ReadFile(dir_ / "fused2/adapter_model.safetensors"));
  EXPECT_EQ(ConfigOf("again")["rank_pattern"], json({{"gate_proj", 2 * kRank}, {"up_proj", 2 * kRank}}));
}

TEST_F(ExportExperts, AScaleOfOneExpertIsRefused) {
  WriteSplit({.alpha_pattern = {{"experts.1.down_proj", 5}}});
  EXPECT_EQ(Message(Export("split", "fused", ExpertForm::kFused)),
            "experts of mlp.experts.down_proj have ranks or alphas of their own, which experts in one tensor "
            "cannot have");
}

TEST_F(ExportExperts, DoraIsRefusedInOneTensor) {
  WriteSplit({.use_dora = true});
  EXPECT_EQ(Message(Export("split", "fused", ExpertForm::kFused)),
            "--experts fused: use_dora is not for experts in one tensor; take --experts split");
}

TEST_F(ExportExperts, AFormThatTheFamilyHasNotIsRefused) {
  EXPECT_EQ(Message(CheckForm(LayoutOfFamily("qwen3"), ExpertForm::kSplit)),
            "--experts has no meaning for this model, which has none: leave it out");
  EXPECT_EQ(Message(CheckForm(LayoutOfFamily("mixtral"), ExpertForm::kFused)),
            "--experts fused is not for this model: its family has no tensor of all experts; leave it out");
  EXPECT_EQ(
      Message(CheckForm(LayoutOfFamily("gpt_oss"), ExpertForm::kSplit)),
      "--experts split is not for this model: its family has all experts in one tensor only; leave it out");
  EXPECT_TRUE(CheckForm(LayoutOfFamily("gpt_oss"), ExpertForm::kFused).ok());
}

TEST_F(ExportExperts, AnExpertWithoutAPairIsNamed) {
  std::vector<NamedTensor> tensors;
  const std::string module = StrCat(kExperts, ".1.down_proj");
  tensors.push_back({params::AdapterName(module, 'A'), torch::randn({kRank, 6})});
  tensors.push_back({params::AdapterName(module, 'B'), torch::randn({8, kRank})});
  EXPECT_EQ(Message(FuseExperts(layout_, tensors, FusedExperts::kAll).status()),
            "not all experts of model.layers.0.mlp.experts.down_proj have an adapter of the same rank, which "
            "experts in one tensor "
            "need");
}

// Model folders: each expert's matrices become rows of one tensor as transformers has it, and come back bit by bit.
TEST_F(ExportExperts, AModelKeepsItsBitsInEitherForm) {
  fs::create_directories(dir_ / "m");
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/config.json", ConfigText("qwen3_moe")).ok());
  std::vector<PendingTensor> tensors;
  for (const model::StoredWeight& weight : layout_)
    tensors.push_back(Pending({weight.name, torch::randn(weight.shape)}));
  ASSERT_TRUE(WriteTensors(dir_ / "m/model.safetensors", tensors, {}, {}).ok());
  const auto write = [&](const char* from, const char* to, ExpertForm form) {
    return WriteModel({.model = dir_ / from, .out = dir_ / to, .experts = form}).status();
  };
  ASSERT_TRUE(write("m", "fused", ExpertForm::kFused).ok());
  ASSERT_TRUE(write("fused", "split", ExpertForm::kSplit).ok());
  const auto fused = weights::OpenWeights(dir_ / "fused"), split = weights::OpenWeights(dir_ / "split");
  ASSERT_TRUE(fused.ok() && split.ok());
  const auto read = [](const weights::TensorSource& source, const std::string& name) {
    const weights::TensorInfo* info = source.Find(name);
    EXPECT_NE(info, nullptr) << name;
    std::vector<float> values(info == nullptr ? 0 : info->elements());
    if (info != nullptr) {
      EXPECT_TRUE(weights::ReadFloat32(source, *info, values).ok());
    }
    return info == nullptr ? Tensor() : torch::tensor(values).view(info->shape);
  };
  for (const PendingTensor& tensor : tensors)
    EXPECT_TRUE(at::equal(read(**split, tensor.name), *tensor.make())) << tensor.name;
  EXPECT_EQ((*split)->tensors().size(), tensors.size());
  EXPECT_EQ((*fused)->Find(StrCat(kExperts, ".1.up_proj.weight")), nullptr);
  const Tensor gate_up = read(**fused, StrCat(kExperts, ".gate_up_proj"));
  EXPECT_EQ(gate_up.sizes().vec(), (std::vector<int64_t>{3, 12, 8}));
  EXPECT_TRUE(at::equal(gate_up[1].narrow(0, 6, 6), read(**split, StrCat(kExperts, ".1.up_proj.weight"))));
}

}  // namespace
}  // namespace ft::checkpoint
