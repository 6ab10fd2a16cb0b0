#include "core/plan/estimate.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "core/plan/optimizer_state.h"
#include "core/plan/state_tiles.h"
#include "core/recipe/sharding.h"
#include "core/recipe/state_tier.h"

namespace ft::plan {
namespace {

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

bool Targeted(const recipe::MethodSpec& method, std::string_view name) {
  // Whole names, ends of several parts and expressions choose layers that sizes do not tell: counted as all.
  const bool all = std::any_of(method.targets.begin(), method.targets.end(), [](const std::string& target) {
    return target == "all_linear" || target.find_first_of(".*+?()[]{}|\\^$") != std::string::npos;
  });
  return all || std::find(method.targets.begin(), method.targets.end(), name) != method.targets.end();
}

// Of the pattern's keys only plain last parts of names are counted: what expressions mean, the model's names tell.
int64_t AdapterRank(const recipe::MethodSpec& method, const std::string& name) {
  const auto found = method.rank_pattern.find(name);
  return found == method.rank_pattern.end() ? method.rank : found->second;
}

// Embedding and head that are trained whole, by the names that most models give them.
int64_t SavedParameters(const ModelShape& shape, const recipe::MethodSpec& method) {
  int64_t tables = 0;
  for (const std::string& name : method.modules_to_save) {
    tables += name.ends_with("embed_tokens") || name.ends_with("lm_head") ? 1 : 0;
  }
  return tables * shape.vocabulary * shape.hidden;
}

constexpr double kNf4BytesPerWeight =
    0.5 + 1.0 / 64 + 4.0 / (64 * 256);                 // Codes, 8-bit scales, their fp32 scales.
constexpr int64_t kSegmentBytes = int64_t{4} << 20;    // What a rank shows the others of its host.
constexpr double kChunkElements = 1 << 24;             // Logits computed at a time: ops/loss_head.cc.
constexpr int64_t kProgramBytes = int64_t{256} << 20;  // LibTorch's CPU libraries and small buffers.

// Rows of all projections: each has a float32 scale where weights have 8 bits.
int64_t LinearRows(const ModelShape& shape) {
  int64_t rows = 0;
  for (const Projection& p : Projections(shape)) rows += p.outputs * Count(shape, p);
  return rows;
}

// What is trained, in bytes of one rank of those that the job was submitted for.
struct TrainedBytes {
  bool divides_units = false;
  double state = 0;    // Values, summed gradients, the optimizer's state.
  double partial = 0;  // Sums that wait for others, and gradients of the units that are computed.
};

TrainedBytes TrainedBytesOf(const ModelShape& shape, const recipe::JobSpec& spec) {
  const StatusOr<recipe::Sharding> answer = recipe::Sharding::Of(spec);
  const recipe::Sharding sharding =
      answer.ok() ? *answer : recipe::Sharding{.slices = recipe::MaxRanks(spec.parallel)};
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const auto ranks = static_cast<double>(spec.parallel.ranks);
  const auto doublings = [](int n) {
    return static_cast<double>(std::bit_width(static_cast<unsigned>(n)) - 1);
  };
  const double gradients = sharding.gradients_sliced ? 1 / ranks : 1,
               moments = sharding.states_sliced ? 1 / ranks : 1,
               values = sharding.weights_sliced ? 1 / ranks : 1;
  const double kept = trainable * moments * StateBytesPerWeight(spec.train.optimizer.kind);
  // Of a state that rests elsewhere three tiles come and go.
  const bool on_cpu = spec.resources.device != "gpu";
  const bool rests = recipe::Settled(recipe::StateTierOf(spec), on_cpu, /*short_of_room=*/false) !=
                     recipe::StateTier::kWithWeights;
  const double most = 3 * StateBytesPerWeight(spec.train.optimizer.kind) * static_cast<double>(kTileWeights);
  TrainedBytes bytes{
      .divides_units = sharding.weights_sliced,
      .state = trainable * (4 * values + 4 * gradients) + (rests ? std::min(kept, most) : kept)};
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

// The two neighbours in a pass that are largest together, in bytes: blocks, or a block and the table before or behind it. `frozen` and
// `copies` are of the whole model.
double TwoUnits(const ModelShape& shape, double frozen, double copies, double compute_bytes) {
  const double table = static_cast<double>(shape.vocabulary * shape.hidden) * compute_bytes;
  const double tables = table * (shape.tied_head ? 1 : 2);
  const double block =
      std::max(frozen + copies - tables, 0.0) / static_cast<double>(std::max<int64_t>(shape.layers, 1));
  return block + std::max(block, table);
}

// Blocks whose activations are computed again in backward.
int64_t CheckpointedBlocks(const ModelShape& shape, const recipe::TrainSpec& train) {
  if (!train.activation_checkpointing) return 0;
  return train.checkpointed_blocks == 0 ? shape.layers : std::min(train.checkpointed_blocks, shape.layers);
}

}  // namespace

int64_t LinearParameters(const ModelShape& shape) {
  int64_t count = 0;
  for (const Projection& p : Projections(shape)) count += p.inputs * p.outputs * Count(shape, p);
  return count;
}

int64_t ParameterCount(const ModelShape& shape) {
  const int64_t embedding = shape.vocabulary * shape.hidden;
  const int64_t norms = (2 * shape.layers + 1) * shape.hidden;
  return LinearParameters(shape) + embedding * (shape.tied_head ? 1 : 2) + norms + shape.other_parameters;
}

int64_t TrainableParameters(const ModelShape& shape, const recipe::MethodSpec& method) {
  if (method.kind == "full") return ParameterCount(shape);
  int64_t count = 0;
  for (const Projection& p : Projections(shape)) {
    if (!Targeted(method, p.name)) continue;
    const int64_t pair =
        AdapterRank(method, p.name) * (p.inputs + p.outputs) + (method.use_dora ? p.outputs : 0);
    count += pair * Count(shape, p);
  }
  return count + SavedParameters(shape, method);
}

std::vector<MemoryPart> EstimateMemory(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16,
                                       DataSize data) {
  const double compute_bytes = bf16 ? 2 : 4;
  const auto linear = static_cast<double>(LinearParameters(shape));
  const auto other = static_cast<double>(ParameterCount(shape)) - linear;
  const auto trainable = static_cast<double>(TrainableParameters(shape, spec.method));
  const bool full = spec.method.kind == "full";
  double base = 0;
  if (spec.method.kind == "qlora") base = linear * kNf4BytesPerWeight + other * compute_bytes;
  if (spec.method.kind == "int8_lora")
    base = linear + static_cast<double>(LinearRows(shape)) * 4 + other * compute_bytes;
  if (spec.method.kind == "lora") base = (linear + other) * compute_bytes;
  // fp32 value, gradient and what the optimizer keeps; a full fine-tuning also multiplies in the compute type.
  const TrainedBytes trained = TrainedBytesOf(shape, spec);
  const double copies_of_trained = trained.divides_units ? trainable * compute_bytes
                                   : full && bf16        ? trainable * 2
                                                         : 0;
  // Of units that are whole while they are used there are two, and a rank keeps its part of what is frozen.
  const double units = trained.divides_units ? TwoUnits(shape, base, copies_of_trained, compute_bytes) : 0;
  if (trained.divides_units) base /= static_cast<double>(spec.parallel.ranks);
  const double training = trained.state + (trained.divides_units ? 0 : copies_of_trained);
  const auto within = [&](int64_t tokens) {
    return tokens > 0 ? std::min(tokens, spec.train.max_length) : spec.train.max_length;
  };
  const int64_t length = within(data.longest_sample);
  // A packed row is full; no sample in it sees more than itself.
  const int64_t packed = spec.train.packed_length > 0 ? spec.train.packed_length : within(data.total);
  const auto rows = static_cast<double>(spec.train.micro_batch * (spec.train.packing ? packed : length));
  const auto layers = static_cast<double>(shape.layers), hidden = static_cast<double>(shape.hidden);
  const auto inner = static_cast<double>(shape.intermediate);
  // Each block keeps the float32 inputs of its two sub-layers and the result of attention; one that is not computed again also
  // the normed inputs, queries, keys, values and result of attention (in float32 on CPUs without bf16 products), gate, up
  // and their product.
  const double inputs = rows * hidden * (2 * 4 + compute_bytes);
  // A row's experts read a copy of it each, and what they make of it is kept beside.
  const double copies = static_cast<double>(shape.chosen_experts) * hidden;
  const double kept =
      rows * (hidden * (2 * 4 + 4 * 4 + 2 * compute_bytes) + (inner * 3 + copies * 2) * compute_bytes);
  const double block = rows * (hidden * 34 + inner * 8 + copies * 4) * compute_bytes;
  const double recomputed = static_cast<double>(CheckpointedBlocks(shape, spec.train));
  const double activations = inputs * recomputed + kept * (layers - recomputed) + block;
  const double logits =
      std::min(rows * static_cast<double>(shape.vocabulary), kChunkElements) * compute_bytes;
  // On a CPU panels of it, which the program's own part holds.
  const bool quantised = spec.method.kind == "qlora" || spec.method.kind == "int8_lora";
  const bool whole = quantised && spec.resources.device == "gpu";
  const double dequantised = whole ? hidden * inner * compute_bytes * 2 : 0;
  const int leaves = recipe::MaxRanks(spec.parallel);
  const double shared = leaves > 1 ? static_cast<double>(kSegmentBytes) * leaves : 0;
  const auto bytes = [](double value) { return static_cast<int64_t>(value); };
  return {{"base weights", bytes(base)},
          {"trained weights, gradients, optimizer", bytes(training)},
          {"partial sums and exchange of ranks", bytes(trained.partial + shared + units)},
          {"activations", bytes(activations)},
          {"logits and their gradient", bytes(logits)},
          {"one dequantised weight", bytes(dequantised)},
          {"program", kProgramBytes, /*fixed=*/true}};
}

int64_t TotalBytes(const std::vector<MemoryPart>& parts) {
  int64_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

double FlopsPerToken(const ModelShape& shape, const recipe::JobSpec& spec) {
  double n = static_cast<double>(ParameterCount(shape)) -
             (shape.tied_head ? 0.0 : static_cast<double>(shape.vocabulary * shape.hidden));
  for (const Projection& p : shape.projections) {
    if (p.used > 0) n -= static_cast<double>((Count(shape, p) - p.used) * p.inputs * p.outputs);
  }
  const double adapters =
      spec.method.kind == "full" ? 0 : 6.0 * static_cast<double>(TrainableParameters(shape, spec.method));
  // Recomputation leaves out the last product of each sub-layer, about a third.
  const double recomputed = static_cast<double>(CheckpointedBlocks(shape, spec.train)) /
                            static_cast<double>(std::max<int64_t>(shape.layers, 1));
  const double passes = (spec.method.kind == "full" ? 6 : 4) + 1.3 * recomputed;
  return passes * n + adapters;
}

}  // namespace ft::plan
