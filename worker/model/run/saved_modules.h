// Modules that are trained whole beside an adapter (PEFT's modules_to_save).
#pragma once

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/model/params/adapter_kind.h"

namespace ft::run {

// Whether the weight is of such a module.
bool IsSaved(const model::StoredWeight& weight, const params::AdapterKind& kind);

// INVALID_ARGUMENT names what the model has no module for, and what cannot be trained alone: of a model whose head is its embedding, the
// head, and the embedding unless ensure_weight_tying says that it is both.
Status CheckSavedModules(const model::DecoderConfig& config, const model::Layout& layout,
                         const params::AdapterKind& kind);

}  // namespace ft::run
