// From stored weights to a decoder's slots.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/device/staging.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/params/quantised_base.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

struct LoadOptions {
  // Dtypes of matrices; norms, biases and routers are float32.
  at::ScalarType weight_dtype = at::kFloat;  // What frozen weights are kept as.
  at::ScalarType cast_dtype = at::kFloat;    // What trained weights are rounded to when they are used.
  params::BaseKind projections =
      params::BaseKind::kStored;      // How frozen weights of the blocks' projections are kept.
  at::Device device = device::kHost;  // Where frozen weights are kept; trained ones lie where the store does.
  // Where quantised projections are kept for the next load; without a folder they are quantised from the source each time.
  params::QuantisedBaseOptions base = {};
  // Called as soon as all weights of a unit are read, with its frozen ones; may be empty.
  std::function<void(int unit, const std::vector<ops::SlotPtr>& frozen)> unit_read = {};
};

// Reads every weight of the layout, tensor by tensor, into slots of `weights`: those that the store knows by name are trained, and
// read into it. INVALID_ARGUMENT names the tensor that is missing, of another shape, packed in a way that is not read, a second
// copy of a tied head with other values, or within the decoder and unknown to the configuration (a bias that the configuration does not mention would otherwise be lost in
// silence).
Status LoadDecoder(const model::DecoderConfig& config, const model::Layout& layout,
                   const weights::TensorSource& source, const LoadOptions& options,
                   params::ParameterStore& store, model::DecoderWeights& weights);

// The stored tensors that the model has no place for and does not need: those beside the decoder (a vision
// tower, a reward head) and of layers beyond its last. They are left out, as transformers does.
std::vector<std::string> LeftOut(const model::DecoderConfig& config, const model::Layout& layout,
                                 const weights::TensorSource& source);

}  // namespace ft::run
