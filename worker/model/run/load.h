// From stored weights to a decoder's slots.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

// The slots that are trained, values in float32.
using TrainedSlots = std::vector<std::shared_ptr<ops::ResidentSlot>>;

struct LoadOptions {
  // Of matrices; norms and biases are float32.
  at::ScalarType stored = at::kFloat;      // What frozen weights are kept as.
  at::ScalarType rounded_to = at::kFloat;  // What trained weights are rounded to when they are used.
  bool trainable = false;               // Keep all weights in float32 and train them.
  bool nf4 = false;  // Keep the weights of the blocks' projections as NF4 with double quantisation.
};

// Reads every weight of `config`, tensor by tensor, into slots; what the file holds in 4 bits (bitsandbytes)
// stays so where it is NF4. Weights that are trained are also listed in `trained`. INVALID_ARGUMENT names the
// tensor that is missing, of another shape, packed in a way that is not read, or within the decoder and
// unknown to the configuration (a bias that the configuration does not mention would otherwise be lost in
// silence).
StatusOr<model::DecoderWeights> LoadDecoder(const model::DecoderConfig& config,
                                            const weights::TensorSource& source, const LoadOptions& options,
                                            TrainedSlots& trained);

// The stored tensors that the model has no place for and does not need: those beside the decoder (a vision
// tower, a reward head) and of layers beyond its last. They are left out, as transformers does.
std::vector<std::string> LeftOut(const model::DecoderConfig& config, const weights::TensorSource& source);

// A stored tensor of any floating type as float32.
StatusOr<torch::Tensor> ReadTensor(const weights::TensorSource& source, const weights::TensorInfo& info);

}  // namespace ft::run
