// A small random model: checkpointing changes no bit, frozen weights are never saved, batches may be split,
// dropout follows its key, and bad weights are refused by name.
#include "worker/model/run/language_model.h"

#include <ATen/Parallel.h>

#include <cstring>
#include <map>
#include <new>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_device.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/saved_tensor_guard.h"
#include "worker/model/run/padded_batch.h"
#include "worker/model/run/small_model_fixture.h"

namespace ft::run {
namespace {

using torch::Tensor;

// The guard's engine from the first backward pass on: one that comes later has no threads for devices.
[[maybe_unused]] const bool engine_is_chosen = (ops::SavedTensorGuard(), true);

StatusOr<std::unique_ptr<LanguageModel>> LoadHere(const model::DecoderConfig& config,
                                                  const MemorySource& source, ModelOptions options) {
  options.device = TestDevice();
  return LanguageModel::Load(config, source, options);
}

std::unique_ptr<LanguageModel> Make(const ModelOptions& options) {
  const model::DecoderConfig config = SmallConfig();
  auto loaded = LoadHere(config, RandomWeights(config), options);
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  // B starts at zero, which would hide A: give every adapter values.
  torch::manual_seed(6);
  params::ParameterStore& store = (*loaded)->store();
  for (int i = 0; i < store.size(); ++i) {
    if (store.name(i).find("lora_B") != std::string::npos)
      store.value(i).copy_(torch::empty(store.value(i).sizes()).normal_(0, 0.1));
  }
  store.ValuesChanged();
  return *std::move(loaded);
}

PaddedBatch Batch(std::vector<int64_t> lengths) {
  torch::manual_seed(7);
  const int64_t rows = static_cast<int64_t>(lengths.size());
  const Tensor ids = torch::randint(0, 37, {rows, 11}, torch::kInt64);
  Tensor labels = ids.clone();
  labels.narrow(1, 0, 3).fill_(-100);
  PaddedBatch batch{.ids_BT = ids, .labels_BT = labels, .lengths = std::move(lengths), .seed = 9, .step = 4};
  for (int64_t row = 0; row < rows; ++row) batch.sample_keys.push_back(100 + static_cast<uint64_t>(row));
  return batch;
}

PackedRows Rows(const PaddedBatch& batch) {
  StatusOr<PackedRows> rows = Pack(batch, SmallConfig().vocabulary);
  EXPECT_TRUE(rows.ok()) << Message(rows.status());
  return *std::move(rows);
}

class LanguageModelTest : public ::testing::TestWithParam<ModelOptions> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_P(LanguageModelTest, CheckpointingChangesNoBit) {
  ModelOptions options = GetParam();
  options.checkpointing = false;
  const auto kept = Make(options);
  const PaddedBatch batch = Batch({11, 4, 8});
  const double loss = kept->ForwardBackward(Rows(batch), 0.1);
  ASSERT_GT(kept->store().size(), 0);
  options.checkpointing = true;
  for (const int64_t blocks : {0, 1}) {
    options.checkpointed_blocks = blocks;
    const auto recomputed = Make(options);
    EXPECT_EQ(loss, recomputed->ForwardBackward(Rows(batch), 0.1));
    double largest = 0;
    for (int i = 0; i < kept->store().size(); ++i) {
      EXPECT_TRUE(at::equal(kept->store().gradient(i), recomputed->store().gradient(i)))
          << kept->store().name(i) << ", " << blocks << " blocks";
      largest = std::max(largest, kept->store().gradient(i).abs().max().item<double>());
    }
    EXPECT_GT(largest, 0);
  }
}

TEST_P(LanguageModelTest, NoTensorOfAFrozenSlotIsSaved) {
  for (const bool checkpointing : {false, true}) {
    ModelOptions options = GetParam();
    options.checkpointing = checkpointing;
    const auto loaded = Make(options);
    const ops::SavedTensorGuard guard;
    loaded->ForwardBackward(Rows(Batch({11, 5})), 1);
    EXPECT_GT(guard.saved(), 0);
    EXPECT_TRUE(guard.violations().empty()) << guard.violations()[0];
  }
}

TEST_P(LanguageModelTest, LossAndGradientsOfABatchAreTheSumsOfItsSamples) {
  const auto together = Make(GetParam()), apart = Make(GetParam());
  const PaddedBatch batch = Batch({11, 6});
  const double sum = together->ForwardBackward(Rows(batch), 0.5);
  double parts = 0;
  for (int64_t row = 0; row < 2; ++row) {
    const int64_t length = batch.lengths[static_cast<size_t>(row)];
    // Also without the padding, which must not matter.
    const PaddedBatch one{.ids_BT = batch.ids_BT.narrow(0, row, 1).narrow(1, 0, length).contiguous(),
                          .labels_BT = batch.labels_BT.narrow(0, row, 1).narrow(1, 0, length).contiguous(),
                          .lengths = {length},
                          .sample_keys = {batch.sample_keys[static_cast<size_t>(row)]},
                          .seed = batch.seed,
                          .step = batch.step};
    parts += apart->ForwardBackward(Rows(one), 0.5);
  }
  const double tolerance = GetParam().dtype == "bf16" ? 2e-2 : 1e-5;
  EXPECT_NEAR(sum, parts, tolerance * std::abs(sum));
  for (int i = 0; i < together->store().size(); ++i) {
    const Tensor a = together->store().gradient(i), b = apart->store().gradient(i);
    EXPECT_LE((a - b).abs().max().item<double>(), tolerance * (1 + a.abs().max().item<double>()));
  }
}

// Differences of bfloat16 losses are too coarse for this.
class Float32Test : public LanguageModelTest {};

TEST_P(Float32Test, GradientsPredictTheChangeOfTheLoss) {
  const auto loaded = Make(GetParam());
  const PaddedBatch batch = Batch({11, 6});
  const double loss = loaded->ForwardBackward(Rows(batch), 1);
  double predicted = 0;
  const double rate = 1e-5;
  params::ParameterStore& store = loaded->store();
  predicted -= rate * store.gradients().to(torch::kDouble).pow(2).sum().item<double>();
  torch::Tensor(store.values()).sub_(store.gradients(), rate);
  store.ValuesChanged();
  const double after = loaded->ForwardBackward(Rows(batch), 1);
  EXPECT_LT(predicted, 0);
  EXPECT_NEAR((after - loss) / predicted, 1, 0.05);
}

const ModelOptions kFloat32Methods[] = {{.method = "full"},
                                        {.method = "lora", .rank = 3},
                                        {.method = "qlora", .rank = 3, .dropout = 0.2},
                                        {.method = "lora", .rank = 2, .targets = {"q_proj", "down_proj"}}};
const ModelOptions kBfloat16Methods[] = {{.dtype = "bf16", .method = "qlora", .rank = 3},
                                         {.dtype = "bf16", .method = "full"}};

std::string TestName(const ::testing::TestParamInfo<ModelOptions>& info) {
  return info.param.method + (info.param.dropout > 0 ? "_dropout" : "") +
         (info.param.targets.size() > 1 ? "_some" : "");
}
INSTANTIATE_TEST_SUITE_P(Float32, LanguageModelTest, ::testing::ValuesIn(kFloat32Methods), TestName);
INSTANTIATE_TEST_SUITE_P(Bfloat16, LanguageModelTest, ::testing::ValuesIn(kBfloat16Methods), TestName);
INSTANTIATE_TEST_SUITE_P(Methods, Float32Test, ::testing::ValuesIn(kFloat32Methods), TestName);

// Weights that bfloat16 holds, but for norms and biases.
MemorySource CoarseMatrices(const model::DecoderConfig& config) {
  MemorySource source = RandomWeights(config);
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    Tensor& value = source.At(weight.name);
    if (value.dim() == 2) value = value.to(at::kBFloat16).to(at::kFloat);
  }
  return source;
}

TEST(LanguageModel, NormsAndBiasesAreNotRounded) {
  const model::DecoderConfig config = SmallConfig();
  const PaddedBatch batch = Batch({11, 6});
  const auto logits = [&](const MemorySource& source, const ModelOptions& options) {
    auto loaded = LoadHere(config, source, options);
    EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
    return (*loaded)->Logits(Rows(batch));
  };
  for (const char* method : {"none", "full"}) {
    MemorySource source = CoarseMatrices(config);
    const Tensor exact = logits(source, {.dtype = "fp32", .method = method});
    const Tensor bf16 = logits(source, {.dtype = "bf16", .method = method});
    const double limit = ops::KernelsFor(TestDevice()).multiplies_bf16() ? 2e-2 : 1e-5;
    EXPECT_LE((bf16 - exact).abs().max().item<double>(), limit * exact.abs().max().item<double>()) << method;
    // Values of bfloat16, and values that would be rounded to them.
    Tensor& norm = source.At("model.norm.weight");
    norm = norm.to(at::kBFloat16).to(at::kFloat);
    const Tensor coarse = logits(source, {.dtype = "bf16", .method = method});
    norm.mul_(1 + 1.0 / 4096);
    EXPECT_FALSE(at::equal(logits(source, {.dtype = "bf16", .method = method}), coarse)) << method;
  }
}

// Every kind of angles: those that look at the length must look at the sample's own.
TEST(LanguageModel, ASampleHasTheSameLossAloneAndInAPackedRow) {
  at::set_num_threads(1);
  for (const auto kind : {model::RopeScaling::Kind::kNone, model::RopeScaling::Kind::kDynamic}) {
    model::DecoderConfig config = SmallConfig();
    config.max_positions = 5;
    config.rotaries.front().scaling = {.kind = kind, .factor = 2};
    const auto loaded = LoadHere(config, RandomWeights(config), {});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const PaddedBatch batch = Batch({11, 4, 8, 6});
    const Tensor ids_BT = batch.ids_BT.to(torch::kInt32);
    const std::vector<uint8_t> all(11, 1), none(11, 0);
    const auto sample = [&](int64_t i, const std::vector<uint8_t>& mask) {
      const auto length = static_cast<size_t>(batch.lengths[static_cast<size_t>(i)]);
      return RowsSample{
          {ids_BT[i].const_data_ptr<int32_t>(), length}, std::span(mask).first(length), /*key=*/7};
    };
    double parts = 0;
    for (int64_t i = 0; i < 4; ++i) {
      const double alone = (*loaded)->Loss(PackRows({sample(i, all)}, 9, 4));
      // The same row with the loss of this sample only: its loss among the others.
      std::vector<RowsSample> among;
      for (int64_t j = 0; j < 4; ++j) among.push_back(sample(j, i == j ? all : none));
      EXPECT_NEAR((*loaded)->Loss(PackRows(among, 9, 4)), alone, 1e-5) << "sample " << i;
      parts += alone;
    }
    const std::vector<RowsSample> row = {sample(0, all), sample(1, all), sample(2, all), sample(3, all)};
    EXPECT_NEAR((*loaded)->Loss(PackRows(row, 9, 4)), parts, 1e-5);
  }
}

// Marks every acquired unit in order.
class RecordedUnits final : public params::UnitStore {
 public:
  void Acquire(int unit) override {
    EXPECT_EQ(held, -1) << "unit " << unit;
    visits.push_back(held = unit);
  }
  void Release(int unit) override {
    EXPECT_EQ(held, unit);
    held = -1;
  }
  void TrainedChanged() override {}
  std::vector<int> visits;
  int held = -1;
};

// A slot that may be read only while its unit is held.
class HeldSlot final : public ops::WeightSlot {
 public:
  HeldSlot(ops::SlotPtr slot, int unit, const RecordedUnits& units)
      : WeightSlot(slot->name(), slot->shape(), slot->device(), slot->index()),
        slot_(std::move(slot)),
        unit_(unit),
        units_(units) {}

 private:
  Tensor Load(at::ScalarType type) const override {
    EXPECT_EQ(units_.held, unit_) << name();
    return slot_->Materialise(type);
  }
  const ops::SlotPtr slot_;
  const int unit_;
  const RecordedUnits& units_;
};

// The weights with every slot guarded.
model::DecoderWeights Guarded(const LanguageModel& loaded, const RecordedUnits& units) {
  const model::DecoderConfig& config = loaded.config();
  std::map<std::string, ops::SlotPtr> slots;
  const model::DecoderWeights& own = loaded.weights();
  const auto add = [&](const ops::SlotPtr& slot) {
    if (slot != nullptr) slots[slot->name()] = slot;
  };
  add(own.embedding_VC), add(own.final_norm.weight);
  for (const model::BlockWeights& block : own.blocks) {
    add(block.attention.norm.weight), add(block.mlp.norm.weight);
    model::VisitProjections(
        block, [&](const model::Projection& projection) { add(projection.weight), add(projection.bias); });
  }
  const model::Layout layout = model::LayoutOf(config);
  EXPECT_EQ(slots.size(), layout.size());
  model::DecoderWeights weights = model::MakeStructure(config, layout);
  for (const model::StoredWeight& stored : layout) {
    const int unit = model::UnitOf(config, stored.role);
    model::AssignWeight(config, stored.role, std::make_shared<HeldSlot>(slots.at(stored.name), unit, units),
                        weights);
  }
  return weights;
}

// What a pass gives: gradients, and the ends of units with the number of gradients before each.
struct RecordedGradients final : params::GradientSink {
  void Add(int index, const Tensor&) override { indices.push_back(index); }
  void AddRows(int index, const Tensor&, const Tensor&) override { indices.push_back(index); }
  void EndUnit(int unit) override { ends.emplace_back(unit, indices.size()); }
  std::vector<int> indices;
  std::vector<std::pair<int, size_t>> ends;
};

TEST(BlockRunner, AUnitEndsAfterItsLastGradient) {
  for (const bool tied : {true, false}) {
    model::DecoderConfig config = SmallConfig();
    config.tied_head = tied;
    const auto loaded =
        LanguageModel::Load(config, RandomWeights(config), {.method = "full", .device = TestDevice()});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    RecordedGradients gradients;
    (*loaded)->ForwardBackward(Rows(Batch({11, 4})), 1, gradients);
    std::vector<int> order;
    for (const auto& [unit, count] : gradients.ends) order.push_back(unit);
    EXPECT_EQ(order, tied ? (std::vector<int>{3, 2, 1, 0}) : (std::vector<int>{4, 3, 2, 1, 0}));
    for (size_t i = 0; i < gradients.indices.size(); ++i) {
      const int unit = (*loaded)->store().range(gradients.indices[i]).tensor.unit;
      const auto end = std::find_if(gradients.ends.begin(), gradients.ends.end(),
                                    [&](const auto& end) { return end.first == unit; });
      EXPECT_LT(i, end->second) << (*loaded)->store().name(gradients.indices[i]);
    }
  }
}

TEST(BlockRunner, AUnitIsHeldWhileItsWeightsAreRead) {
  const auto loaded = Make({.method = "full"});
  const PackedRows rows = Rows(Batch({11, 4}));
  RecordedUnits units;
  const model::DecoderWeights weights = Guarded(*loaded, units);
  const BlockRunner runner(loaded->config(), weights, units, {.device = TestDevice()});
  RecordedGradients gradients;
  runner.ForwardBackward(rows, nullptr, 1, gradients);
  EXPECT_EQ(units.visits, (std::vector<int>{0, 1, 2, 3, /*tied head*/ 0, 3, 2, 1}));
  EXPECT_EQ(static_cast<int>(gradients.indices.size()),
            loaded->store().size() + 1);  // The tied embedding is used twice.
  units.visits.clear();
  runner.Loss(rows);
  EXPECT_EQ(units.visits, (std::vector<int>{0, 1, 2, 3, 0, 0}));
  runner.Logits(runner.Hidden(rows, nullptr));
  EXPECT_EQ(units.held, -1);
}

// Where ranks bring units together, one with nothing to compute has to do so in the same order.
TEST(BlockRunner, AnEmptyPassVisitsAndEndsUnitsAsAFullOneDoes) {
  for (const char* method : {"full", "lora", "none"}) {
    for (const bool tied : {true, false}) {
      SCOPED_TRACE(StrCat(method, tied ? " tied" : ""));
      model::DecoderConfig config = SmallConfig();
      config.tied_head = tied;
      const auto loaded = LanguageModel::Load(config, RandomWeights(config),
                                              {.method = method, .rank = 3, .device = TestDevice()});
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      const PackedRows rows = Rows(Batch({11, 4}));
      PackedRows nothing = rows;
      nothing.targets.clear();
      RecordedUnits full, empty;
      RecordedGradients of_full, of_empty, of_nothing;
      const BlockRunner runner(config, (*loaded)->weights(), full, {.device = TestDevice()});
      const BlockRunner idle(config, (*loaded)->weights(), empty, {.device = TestDevice()});
      runner.ForwardBackward(rows, nullptr, 1, of_full);
      idle.EmptyPass(of_empty);
      EXPECT_EQ(full.visits, empty.visits);
      empty.visits.clear();
      EXPECT_EQ(idle.ForwardBackward(nothing, nullptr, 1, of_nothing), 0);
      EXPECT_EQ(full.visits, empty.visits);
      for (const RecordedGradients* idle_ends : {&of_empty, &of_nothing}) {
        EXPECT_TRUE(idle_ends->indices.empty());
        ASSERT_EQ(idle_ends->ends.size(), of_full.ends.size());
        for (size_t i = 0; i < of_full.ends.size(); ++i)
          EXPECT_EQ(idle_ends->ends[i].first, of_full.ends[i].first);
      }
      full.visits.clear(), empty.visits.clear();
      runner.Loss(rows);
      idle.EmptyForward();
      EXPECT_EQ(full.visits, empty.visits);
      full.visits.clear();
      runner.Logits(runner.Hidden(rows, nullptr));
      EXPECT_EQ(full.visits, empty.visits);
      empty.visits.clear();
      EXPECT_EQ(idle.Loss(nothing), 0);
      EXPECT_EQ(full.visits, empty.visits);
    }
  }
}

TEST(LanguageModel, DropoutFollowsStepAndSampleAndIsOffOutsideTraining) {
  at::set_num_threads(1);
  const auto loaded = Make({.method = "lora", .rank = 3, .dropout = 0.5});
  const auto plain = Make({.method = "lora", .rank = 3});
  PaddedBatch batch = Batch({11});
  const double first = loaded->ForwardBackward(Rows(batch), 1);
  EXPECT_EQ(loaded->ForwardBackward(Rows(batch), 1), first);
  batch.step += 1;
  EXPECT_NE(loaded->ForwardBackward(Rows(batch), 1), first);
  batch.step -= 1;
  batch.sample_keys[0] += 1;
  EXPECT_NE(loaded->ForwardBackward(Rows(batch), 1), first);
  EXPECT_EQ(loaded->Loss(Rows(batch)), plain->Loss(Rows(batch)));
  EXPECT_NEAR(plain->Loss(Rows(batch)), plain->ForwardBackward(Rows(batch), 1), 1e-4);
}

TEST(LanguageModel, ParametersAreNamedAndSortedAndStartAsPeftDoes) {
  const model::DecoderConfig config = SmallConfig();
  const MemorySource source = RandomWeights(config);
  const auto loaded =
      LoadHere(config, source, {.method = "lora", .rank = 4, .targets = {"v_proj"}, .seed = 1});
  ASSERT_TRUE(loaded.ok());
  const params::ParameterStore& store = (*loaded)->store();
  ASSERT_EQ(store.size(), 6);
  EXPECT_EQ(store.name(0), "base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight");
  EXPECT_EQ(store.name(1), "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight");
  EXPECT_LE(store.value(0).abs().max().item<double>(), 1 / std::sqrt(24.0));
  EXPECT_GT(store.value(0).abs().max().item<double>(), 0.8 / std::sqrt(24.0));
  EXPECT_EQ(store.value(1).abs().max().item<double>(), 0);
  EXPECT_FALSE(at::equal(store.value(0), store.value(2)));
  const auto other =
      LoadHere(config, source, {.method = "lora", .rank = 4, .targets = {"v_proj"}, .seed = 2});
  EXPECT_FALSE(at::equal(store.value(0), (*other)->store().value(0)));
}

struct BadWeights {
  const char* what;
  std::function<void(MemorySource&)> spoil;
  const char* names;
};

TEST(LanguageModel, WrongWeightsAreRefusedByName) {
  const BadWeights cases[] = {
      {"missing", [](MemorySource& s) { s.Remove("model.norm.weight"); }, "model.norm.weight"},
      {"shape",
       [](MemorySource& s) {
         s.Remove("model.norm.weight");
         s.Add("model.norm.weight", torch::ones({25}));
       },
       "[25]"},
      {"unknown", [](MemorySource& s) { s.Add("model.layers.0.mlp.up_proj.bias", torch::ones({40})); },
       "model.layers.0.mlp.up_proj.bias"},
  };
  for (const BadWeights& c : cases) {
    MemorySource source = RandomWeights(SmallConfig());
    c.spoil(source);
    const auto loaded = LoadHere(SmallConfig(), source, {});
    ASSERT_FALSE(loaded.ok()) << c.what;
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(Message(loaded.status()).find(c.names), std::string_view::npos) << Message(loaded.status());
  }
}

// 105: transformers ignores it and says so.
// Weights for which there is no memory.
class TooLargeSource final : public weights::TensorSource {
 public:
  const std::vector<weights::TensorInfo>& tensors() const override { return small_.tensors(); }
  Status ReadBytes(const weights::TensorInfo&, std::span<std::byte>) const override {
    throw std::bad_alloc();
  }

 private:
  MemorySource small_ = RandomWeights(SmallConfig());
};

// RESOURCE_EXHAUSTED is a full disk's, after which an attempt is tried again.
TEST(LanguageModel, MemoryThatIsNotThereIsNoFullDisk) {
  const auto loaded = LanguageModel::Load(SmallConfig(), TooLargeSource(), {.method = "full"});
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kUnknown) << Message(loaded.status());
  EXPECT_THAT(Message(loaded.status()), testing::HasSubstr("loading the model failed: "));
}

TEST(CasesLoad, TensorsBesideTheDecoderAreLeftOutAndSaid) {
  const auto plain = LoadHere(SmallConfig(), RandomWeights(SmallConfig()), {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_TRUE((*plain)->remarks().empty());
  MemorySource source = RandomWeights(SmallConfig());
  source.Add("model.vision_tower.proj.weight", torch::ones({4, 4}));
  source.Add("model.layers.3.input_layernorm.weight", torch::ones({24}));  // Beyond the last of 3.
  const auto loaded = LoadHere(SmallConfig(), source, {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ((*loaded)->remarks().size(), 1u);
  EXPECT_NE(
      (*loaded)->remarks()[0].find("model.layers.3.input_layernorm.weight and 1 other tensors: left out"),
      std::string::npos)
      << (*loaded)->remarks()[0];
  const PaddedBatch batch = Batch({11});
  EXPECT_TRUE(at::equal((*loaded)->Logits(Rows(batch)), (*plain)->Logits(Rows(batch))));
}

// 142, without a config.json that says it.
TEST(CasesLoad, PackedWeightsAreRefusedByName) {
  MemorySource source = RandomWeights(SmallConfig());
  source.Remove("model.layers.0.self_attn.q_proj.weight");
  source.Add("model.layers.0.self_attn.q_proj.qweight", torch::ones({3, 24}));
  const auto loaded = LoadHere(SmallConfig(), source, {});
  EXPECT_TRUE(absl::IsUnimplemented(loaded.status()));
  const std::string said(Message(loaded.status()));
  EXPECT_NE(said.find("model.layers.0.self_attn.q_proj.weight is stored as GPTQ or AWQ"), std::string::npos)
      << said;
  EXPECT_NE(said.find("in BF16 or F16"), std::string::npos) << said;
}

// 151: what an adapter changes is told by whole names.
TEST(CasesLoad, AdaptersOfSingleLayersAreAttachedByWholeNames) {
  const auto loaded =
      LoadHere(SmallConfig(), RandomWeights(SmallConfig()),
               {.method = "none",
                .attach_adapter = true,
                .rank = 2,
                .targets = {"model.layers.1.mlp.up_proj", "model.layers.2.self_attn.q_proj"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ((*loaded)->store().size(), 4);
  EXPECT_EQ((*loaded)->store().name(0), "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight");
  EXPECT_EQ((*loaded)->store().name(3), "base_model.model.model.layers.2.self_attn.q_proj.lora_B.weight");
}

// 154
TEST(CasesLoad, AnAdapterOfTheHeadIsRefusedWithTheLayerNamed) {
  for (const char* module : {"lm_head", "model.embed_tokens", "model.layers.9.mlp.up_proj"}) {
    const auto loaded = LoadHere(SmallConfig(), RandomWeights(SmallConfig()),
                                 {.method = "none", .attach_adapter = true, .rank = 2, .targets = {module}});
    ASSERT_FALSE(loaded.ok());
    const std::string said(Message(loaded.status()));
    EXPECT_NE(said.find(StrCat("the adapter changes ", module)), std::string::npos) << said;
    EXPECT_NE(said.find("merge it with PEFT"), std::string::npos) << said;
  }
}

std::string RefusalOf(const ModelOptions& options) {
  const auto loaded = LoadHere(SmallConfig(), RandomWeights(SmallConfig()), options);
  EXPECT_FALSE(loaded.ok());
  return std::string(Message(loaded.status()));
}

TEST(AdapterKinds, PatternsGiveModulesTheirRanksAndTargetsMayBeExpressions) {
  const auto loaded = LoadHere(SmallConfig(), RandomWeights(SmallConfig()),
                               {.method = "lora",
                                .rank = 4,
                                .kind = {.rank_pattern = {{"layers.1.*", 2}}},
                                .targets = {R"(model\.layers\.[01]\.mlp\.up_proj)", "v_proj"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const params::ParameterStore& store = (*loaded)->store();
  ASSERT_EQ(store.size(), 2 * (2 + 3));
  const int first = store.Find("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"),
            second = store.Find("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight");
  EXPECT_EQ(store.value(first).size(0), 4);
  EXPECT_EQ(store.value(second).size(1), 2);
  // Whole names where an end would mean a third layer too.
  EXPECT_EQ((*loaded)->adapted(),
            (std::vector<std::string>{"model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj", "v_proj"}));
  EXPECT_NE(RefusalOf({.method = "lora", .targets = {".*qq_proj"}})
                .find("matches the whole name of no linear layer"),
            std::string::npos);
  EXPECT_NE(
      RefusalOf({.method = "lora", .targets = {"(v_proj"}}).find("method.targets: the regular expression"),
      std::string::npos);
}

TEST(AdapterKinds, MagnitudesStartAsTheRowsLengthsAndChangeNothing) {
  for (const char* method : {"lora", "qlora"}) {
    const auto base = LoadHere(
        SmallConfig(), RandomWeights(SmallConfig()),
        {.base = std::string_view(method) == "qlora" ? params::BaseKind::kNf4 : params::BaseKind::kStored});
    const auto dora = LoadHere(SmallConfig(), RandomWeights(SmallConfig()),
                               {.method = method, .rank = 2, .kind = {.use_dora = true}});
    ASSERT_TRUE(dora.ok()) << dora.status();
    EXPECT_EQ((*dora)->store().size(), 3 * 7 * 3);
    const Tensor expected = (*base)->Logits(Rows(Batch({11}))), found = (*dora)->Logits(Rows(Batch({11})));
    EXPECT_TRUE(at::allclose(found, expected, 1e-4, 1e-5)) << method;
  }
}

TEST(AdapterKinds, SavedModulesAreTrainedWholeBesideTheAdapter) {
  ModelOptions options{
      .method = "qlora",
      .rank = 2,
      .kind = {.modules_to_save = {"embed_tokens", "layers.1.mlp.up_proj"}, .ensure_weight_tying = true}};
  const auto loaded = LoadHere(SmallConfig(), RandomWeights(SmallConfig()), options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  params::ParameterStore& store = (*loaded)->store();
  EXPECT_EQ(store.size(), 2 * (3 * 7 - 1) + 2);
  const int table = store.Find("base_model.model.model.embed_tokens.weight"),
            up = store.Find("base_model.model.model.layers.1.mlp.up_proj.weight");
  ASSERT_TRUE(table >= 0 && up >= 0);
  (*loaded)->ForwardBackward(Rows(Batch({11, 5})), 1);
  EXPECT_GT(store.gradient(table).abs().max().item<double>(), 0);
  EXPECT_GT(store.gradient(up).abs().max().item<double>(), 0);
  options.kind.modules_to_save = {"embed_token"};
  EXPECT_NE(
      RefusalOf(options).find("this model has no module \"embed_token\" (it has down_proj, embed_tokens"),
      std::string::npos);
  options.kind.modules_to_save = {"lm_head"};
  EXPECT_NE(RefusalOf(options).find("lm_head is this model's embedding (tie_word_embeddings)"),
            std::string::npos);
  options.kind = {.modules_to_save = {"embed_tokens"}};
  EXPECT_NE(RefusalOf(options).find("the adapter has an embedding of its own, model.embed_tokens"),
            std::string::npos);
}

TEST(LanguageModel, WrongOptionsAreRefusedByName) {
  const std::pair<ModelOptions, const char*> cases[] = {
      {{.dtype = "fp8"}, "fp8"},
      {{.method = "prefix"}, "prefix"},
      {{.method = "lora", .targets = {"qq_proj"}}, "qq_proj"},
      {{.method = "lora", .rank = 0}, "rank"},
      {{.method = "lora", .dropout = 1}, "dropout"},
  };
  for (const auto& [options, name] : cases) {
    const auto loaded = LoadHere(SmallConfig(), RandomWeights(SmallConfig()), options);
    ASSERT_FALSE(loaded.ok());
    EXPECT_NE(Message(loaded.status()).find(name), std::string_view::npos) << Message(loaded.status());
  }
}

TEST(PaddedBatch, TokensOutsideTheVocabularyAndWrongLengthsAreRefused) {
  PaddedBatch batch = Batch({11});
  EXPECT_TRUE(Pack(batch, 37).ok());
  batch.ids_BT[0][2] = 37;
  EXPECT_NE(Message(Pack(batch, 37).status()).find("37"), std::string_view::npos);
  batch = Batch({12});
  EXPECT_FALSE(Pack(batch, 37).ok());
}

TEST(PackRows, EqualsTheRowsOfAPaddedBatch) {
  const PaddedBatch batch = Batch({11, 4});
  const PackedRows padded = Rows(batch);
  const Tensor ids_BT = batch.ids_BT.to(torch::kInt32), mask_BT = batch.labels_BT.ne(-100).to(torch::kUInt8);
  std::vector<RowsSample> samples;
  for (int64_t row = 0; row < 2; ++row) {
    const auto length = static_cast<size_t>(batch.lengths[static_cast<size_t>(row)]);
    samples.push_back({{ids_BT[row].const_data_ptr<int32_t>(), length},
                       {mask_BT[row].const_data_ptr<uint8_t>(), length},
                       batch.sample_keys[static_cast<size_t>(row)]});
  }
  const PackedRows packed = PackRows(samples, batch.seed, batch.step);
  EXPECT_TRUE(at::equal(packed.ids_N, padded.ids_N));
  EXPECT_EQ(packed.position_N, padded.position_N);
  EXPECT_EQ(packed.sample_N, padded.sample_N);
  EXPECT_EQ(packed.supervised_rows, padded.supervised_rows);
  EXPECT_EQ(packed.targets, padded.targets);
  EXPECT_EQ(packed.rope_lengths, (std::vector<int64_t>{11, 4}));
  EXPECT_EQ(padded.rope_lengths, (std::vector<int64_t>{11, 11}));
}

}  // namespace
}  // namespace ft::run
