// A stored adapter written anew, with its experts one by one or all in one tensor. Which of the two a program loads depends on how it
// has the model's experts in memory: PEFT beside transformers 5 wants one tensor where some layers have no experts (docs/models.md).
#pragma once

#include <filesystem>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/train/checkpoint/adapter.h"

namespace ft::checkpoint {

// How experts lie in what is written.
enum class ExpertForm {
  kAsStored,
  kSplit,  // Each expert's own matrices.
  kFused,  // All experts in one tensor.
};

// INVALID_ARGUMENT where the family of the layout has no experts, or has them in one of the forms only.
Status CheckForm(const model::Layout& layout, ExpertForm form);

struct ExportAdapterOptions {
  std::filesystem::path adapter;  // As any version of PEFT left it.
  std::filesystem::path out;      // Is replaced.
  ExpertForm form = ExpertForm::kSplit;
};

// The same adapter over a model of this layout, in float32. INVALID_ARGUMENT for what the form cannot have: see CheckForm, and in one
// tensor row lengths that are trained (DoRA), and experts with ranks or scales of their own.
StatusOr<WrittenAdapter> ExportAdapter(const ExportAdapterOptions& options, const model::Layout& layout);

}  // namespace ft::checkpoint
