// Experts whose weights files hold in one tensor for all of them, and each one's own weights. No LibTorch: fused_part.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::model {

// The source with each expert's weights under their own names where it has them in one tensor, as floats or in MXFP4; null where it has
// none such. Reads no more than the expert at hand. INVALID_ARGUMENT names a tensor of another shape, a half that is missing, or an expert
// that is there twice. Layout and source outlive the result.
StatusOr<std::unique_ptr<weights::TensorSource>> SplitExperts(const Layout& layout,
                                                              const weights::TensorSource& source);

// A tensor of all experts, and the weights that it consists of.
struct FusedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<const StoredWeight*> parts;  // Into the layout.
};

// Every one that files of this layout may have, in the layout's order.
std::vector<FusedTensor> FusedTensors(const Layout& layout);

}  // namespace ft::model
