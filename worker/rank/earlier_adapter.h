// Training that starts with the values of an adapter that is there already (method.init_from).
#pragma once

#include <optional>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "worker/train/checkpoint/adapter.h"

namespace ft::rank {

// The adapter that the job starts with, which gives its kind, rank, alpha and layers to the job; nothing where it names none. Errors
// name the key.
StatusOr<std::optional<checkpoint::StoredAdapter>> TakeEarlierAdapter(recipe::JobSpec& spec);

// Its kind as a model's options have it, and back.
params::AdapterKind AdapterKindOf(const recipe::MethodSpec& method, bool ensure_weight_tying);
void TakeKind(const params::PeftConfig& config, recipe::MethodSpec& method);

}  // namespace ft::rank
