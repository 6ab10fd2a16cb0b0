// The sizes that a model's config.json gives, for plans that have no model at hand. Knows the layouts of the
// families that are built; another model is taken for one with Llama's.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/plan/estimate.h"

namespace ft::plan {

struct ConfigShape {
  std::string model_type;
  ModelShape shape;
};

// INVALID_ARGUMENT names the key that is missing or makes no sense. `file` is for messages.
StatusOr<ConfigShape> ShapeOfConfig(std::string_view json_text, std::string_view file);

}  // namespace ft::plan
