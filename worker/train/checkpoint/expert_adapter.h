// Adapters of experts that files or transformers have in one tensor. PEFT adapts such a parameter as a whole (target_parameters): one A,
// the experts' one below the other, and one B, whose columns are the ranks' and within each rank the experts'. Slots and checkpoints
// have each expert's own pair, of each of the matrices that the tensor consists of.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

struct FusedParameter {
  int64_t rank = 0;
  std::vector<std::string> modules;  // Whose pairs are in it.
};

struct FusedAdapter {
  std::vector<NamedTensor> tensors;  // Sorted by name.
  std::map<std::string, FusedParameter>
      parameters;  // As target_parameters names them; empty where nothing was fused.
};

enum class FusedExperts {
  kOnly,  // Those that files of the family have in one tensor only.
  kAll,   // All that files may have in one.
};

// The tensors of an adapter, under PEFT's names, as PEFT has them for a model of this layout. Matrices that lie in one tensor (gate and
// up) share their A where it is the same, and else have one below the other's, so that the rank is the sum. INVALID_ARGUMENT names a
// tensor of which some experts have no pair, or other ranks than the rest.
StatusOr<FusedAdapter> FuseExperts(const model::Layout& layout, std::vector<NamedTensor> tensors,
                                   FusedExperts which = FusedExperts::kOnly);

// The other way round: each expert's own pair in the place of PEFT's, the modules that it changes, and their ranks and alphas where those
// differ. INVALID_ARGUMENT names a pair that does not fit the model's experts.
Status SplitExperts(const model::Layout& layout, StoredAdapter& adapter);

}  // namespace ft::checkpoint
