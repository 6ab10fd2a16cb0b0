#include "core/plan/model_parts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string_view>

#include "core/plan/optimizer_state.h"
#include "core/plan/state_tiles.h"
#include "core/recipe/sharding.h"
#include "core/recipe/state_tier.h"

namespace ft::plan {
namespace {

bool Targeted(const recipe::MethodSpec& method, std::string_view name) {
  // Whole names, ends of several parts and expressions choose layers that sizes do not tell: counted as all.
  const bool all = std::any_of(method.targets.begin(), method.targets.end(), [](const std::string& target) {
    return target == "all_linear" || target.find_first_of(".*+?()[]{}|\\^$") != std::string::npos;
  });
  return all || std::find(method.targets.begin(), method.targets.end(), name) != method.targets.end();
}

bool RestsElsewhere(recipe::StateTier wanted, const recipe::JobSpec& spec) {
  const bool on_cpu = spec.resources.device != "gpu";
  return recipe::Settled(wanted, on_cpu, /*short_of_room=*/false) != recipe::StateTier::kWithWeights;
}

bool WeightsRest(const recipe::JobSpec& spec) { return RestsElsewhere(recipe::WeightTierOf(spec), spec); }

// Whether float32 values of what is trained rest with the optimizer's state, and copies of them stay.
bool ValuesRestWithState(const recipe::JobSpec& spec, double compute_bytes) {
  return recipe::ValuesRestWithState(spec) && ReadsCopies(spec, compute_bytes);
}

}  // namespace

std::vector<Projection> Projections(const ModelShape& s) {
  if (!s.projections.empty()) return s.projections;
  const int64_t q = s.heads * s.head_size, kv = s.key_heads * s.head_size;
  return {{"q_proj", s.hidden, q},
          {"k_proj", s.hidden, kv},
          {"v_proj", s.hidden, kv},
          {"o_proj", q, s.hidden},
          {"gate_proj", s.hidden, s.intermediate},
          {"up_proj", s.hidden, s.intermediate},
          {"down_proj", s.intermediate, s.hidden}};
}

int64_t Count(const ModelShape& shape, const Projection& projection) {
  return projection.count == 0 ? shape.layers : projection.count;
}

int64_t AdapterRank(const recipe::MethodSpec& method, const std::string& name) {
  if (method.kind == "full" || !Targeted(method, name)) return 0;
  const auto found = method.rank_pattern.find(name);
  return found == method.rank_pattern.end() ? method.rank : found->second;
}

int64_t LinearRows(const ModelShape& shape) {
  int64_t rows = 0;
  for (const Projection& p : Projections(shape)) rows += p.outputs * Count(shape, p);
  return rows;
}

double FrozenBytes(const ModelShape& shape, const recipe::MethodSpec& method, double compute_bytes) {
  const auto linear = static_cast<double>(LinearParameters(shape));
  const double other = (static_cast<double>(ParameterCount(shape)) - linear) * compute_bytes;
  if (method.kind == "qlora") return linear * kNf4BytesPerWeight + other;
  if (method.kind == "int8_lora") return linear + static_cast<double>(LinearRows(shape)) * 4 + other;
  return method.kind == "lora" ? linear * compute_bytes + other : 0;
}

bool ReadsCopies(const recipe::JobSpec& spec, double compute_bytes) {
  return compute_bytes < 4 && spec.method.adapter_compute != "fp32";
}

TrainedBytes TrainedBytesOf(const ModelShape& shape, const recipe::JobSpec& spec, double compute_bytes) {
  const StatusOr<recipe::Sharding> answer = recipe::Sharding::Of(spec);
  const recipe::Sharding sharding =
      answer.ok() ? *answer : recipe::Sharding{.slices = recipe::MaxRanks(spec.parallel)};
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const auto ranks = static_cast<double>(spec.parallel.ranks);
  const auto doublings = [](int n) {
    return static_cast<double>(std::bit_width(static_cast<unsigned>(n)) - 1);
  };
  // Of a state that rests elsewhere three tiles come and go.
  const bool rests = RestsElsewhere(recipe::StateTierOf(spec), spec);
  const double most = 3 * StateBytesPerWeight(spec.train.optimizer.kind) * static_cast<double>(kTileWeights);
  const bool units_rest = WeightsRest(spec) && recipe::TrainedWeightsRest(spec);
  const bool values_rest = units_rest || (rests && ValuesRestWithState(spec, compute_bytes));
  const double gradients = sharding.gradients_sliced ? 1 / ranks : 1,
               moments = sharding.states_sliced ? 1 / ranks : 1;
  const bool divides_values =
      sharding.weights_sliced || (sharding.states_sliced && ReadsCopies(spec, compute_bytes));
  const double values = divides_values ? 1 / ranks : 1;
  // Of values that rest elsewhere a tile comes and goes.
  const double kept_values =
      values_rest ? std::min(trainable * values, static_cast<double>(kTileWeights)) : trainable * values;
  const double kept = trainable * moments * StateBytesPerWeight(spec.train.optimizer.kind);
  TrainedBytes bytes{
      .divides_units = sharding.weights_sliced || units_rest,
      .divides_values = divides_values,
      .state = 4 * kept_values + 4 * trainable * gradients + (rests ? std::min(kept, most) : kept)};
  if (sharding.order == recipe::SumOrder::kStep) {
    // A rank may come to hold all leaves: then log2(max_ranks) partial sums wait beside the gradient.
    bytes.partial = trainable * 4 * doublings(sharding.slices);
    return bytes;
  }
  const bool full = spec.method.kind == "full";
  const auto embedding = full ? static_cast<double>(shape.vocabulary * shape.hidden) : 0.0;
  const double blocks = trainable - embedding * (shape.tied_head ? 1 : 2);
  const double block = blocks / static_cast<double>(std::max<int64_t>(shape.layers, 1));
  // A tied embedding's gradient waits for its second use while blocks come and go.
  const double units = shape.tied_head ? embedding + block : std::max(embedding, block);
  bytes.partial = 4 * (trainable / ranks * doublings(sharding.slices / spec.parallel.ranks) + units);
  return bytes;
}

double TwoUnits(const ModelShape& shape, double frozen, double copies, double compute_bytes) {
  const double table = static_cast<double>(shape.vocabulary * shape.hidden) * compute_bytes;
  const double tables = table * (shape.tied_head ? 1 : 2);
  const double block =
      std::max(frozen + copies - tables, 0.0) / static_cast<double>(std::max<int64_t>(shape.layers, 1));
  return block + std::max(block, table);
}

double FrozenInPlace(const ModelShape& shape, const recipe::JobSpec& spec, double frozen,
                     double compute_bytes) {
  if (frozen == 0) return 0;
  const bool divides_units = TrainedBytesOf(shape, spec, compute_bytes).divides_units;
  if (WeightsRest(spec)) return divides_units ? 0 : TwoUnits(shape, frozen, 0, compute_bytes);
  return divides_units ? frozen / static_cast<double>(spec.parallel.ranks) : frozen;
}

BytesElsewhere ElsewhereOf(const ModelShape& shape, const recipe::JobSpec& spec, double frozen,
                           double compute_bytes) {
  const StatusOr<recipe::Sharding> sharding = recipe::Sharding::Of(spec);
  if (!sharding.ok()) return {};
  const auto ranks = static_cast<double>(spec.parallel.ranks);
  BytesElsewhere elsewhere;
  const auto add = [&](recipe::StateTier wanted, double bytes) {
    const bool on_cpu = spec.resources.device != "gpu";
    const recipe::StateTier tier = recipe::Settled(wanted, on_cpu, /*short_of_room=*/false);
    if (tier == recipe::StateTier::kHost) elsewhere.host += static_cast<int64_t>(bytes);
    if (tier == recipe::StateTier::kDisk) elsewhere.disk += static_cast<int64_t>(bytes);
  };
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const double values = ValuesRestWithState(spec, compute_bytes) ? 4 : 0;
  add(recipe::StateTierOf(spec), trainable * (StateBytesPerWeight(spec.train.optimizer.kind) + values) /
                                     (sharding->states_sliced ? ranks : 1));
  const double trained = recipe::TrainedWeightsRest(spec) ? 4 * trainable : 0;
  add(recipe::WeightTierOf(spec), (frozen + trained) / (sharding->weights_sliced ? ranks : 1));
  return elsewhere;
}

int64_t CheckpointedBlocks(const ModelShape& shape, const recipe::TrainSpec& train) {
  if (!train.activation_checkpointing) return 0;
  return train.checkpointed_blocks == 0 ? shape.layers : std::min(train.checkpointed_blocks, shape.layers);
}

Batch BatchOf(const recipe::JobSpec& spec, const DataSize& data) {
  const recipe::TrainSpec& train = spec.train;
  const auto within = [&](int64_t tokens) {
    return tokens > 0 ? std::min(tokens, train.max_length) : train.max_length;
  };
  const int64_t length = within(data.longest_sample);
  if (!train.packing) return {train.micro_batch * length, train.micro_batch, length};
  // A packed row is full; no sample in it sees more than itself.
  const int64_t packed = train.packed_length > 0 ? train.packed_length : within(data.total);
  const double samples = data.total > 0 ? static_cast<double>(packed) * static_cast<double>(data.samples) /
                                              static_cast<double>(data.total)
                                        : 0;
  return {train.micro_batch * packed, train.micro_batch * std::max<int64_t>(1, std::llround(samples)),
          length};
}

}  // namespace ft::plan
