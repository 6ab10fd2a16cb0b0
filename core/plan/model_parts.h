// What estimates of all devices count alike: layers with their adapters, bytes of what is frozen and of what is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/estimate.h"

namespace ft::plan {

// Codes, 8-bit scales, their fp32 scales.
inline constexpr double kNf4BytesPerWeight = 0.5 + 1.0 / 64 + 4.0 / (64 * 256);

// Those of Llama where the shape has no list.
std::vector<Projection> Projections(const ModelShape& shape);
// How many of it the model has.
int64_t Count(const ModelShape& shape, const Projection& projection);

// The rank of the adapter of layers of this name, 0 = they have none. Of the pattern's keys only plain last parts of names are counted:
// what expressions mean, the model's names tell.
int64_t AdapterRank(const recipe::MethodSpec& method, const std::string& name);

// Rows of all projections: each has a float32 scale where weights have 8 bits.
int64_t LinearRows(const ModelShape& shape);

// Weights that are not trained, of all ranks; 0 for method full.
double FrozenBytes(const ModelShape& shape, const recipe::MethodSpec& method, double compute_bytes);

// What is trained, in bytes of one rank of those that the job was submitted for.
struct TrainedBytes {
  bool divides_units = false;
  bool divides_values = false;  // Float32 values: products read copies of them, whole ones or those of units.
  double state = 0;             // Values, summed gradients, the optimizer's state.
  double partial = 0;           // Sums that wait for others, and gradients of the units that are computed.
};

// Whether products read what is trained in copies that are narrower than its float32 values; PEFT's products read the values.
bool ReadsCopies(const recipe::JobSpec& spec, double compute_bytes);

TrainedBytes TrainedBytesOf(const ModelShape& shape, const recipe::JobSpec& spec, double compute_bytes);

// The two neighbours in a pass that are largest together, in bytes: blocks, or a block and the table before or behind it. `frozen` and
// `copies` are of the whole model.
double TwoUnits(const ModelShape& shape, double frozen, double copies, double compute_bytes);

// What of the frozen base lies where passes compute: all of a rank's part, or where it rests elsewhere (parallel.offload.parameters) the two
// neighbours in a pass, unless those are counted with what is trained.
double FrozenInPlace(const ModelShape& shape, const recipe::JobSpec& spec, double frozen,
                     double compute_bytes);

// What of a rank rests elsewhere: of the optimizer's state, of the frozen base, and of the float32 values of what is trained.
struct BytesElsewhere {
  int64_t host = 0, disk = 0;
};
BytesElsewhere ElsewhereOf(const ModelShape& shape, const recipe::JobSpec& spec, double frozen,
                           double compute_bytes);

// Blocks whose activations are computed again in backward.
int64_t CheckpointedBlocks(const ModelShape& shape, const recipe::TrainSpec& train);

// What a micro-batch is at most.
struct Batch {
  int64_t rows = 0;      // Tokens.
  int64_t segments = 0;  // Samples, which do not see each other.
  int64_t longest = 0;   // Of them.
};
Batch BatchOf(const recipe::JobSpec& spec, const DataSize& data);

}  // namespace ft::plan
