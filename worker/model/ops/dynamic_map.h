// The values that codes of 8 bits stand for (kernels/dynamic_map/dynamic_map.h), as tensors.
#pragma once

#include <torch/types.h>

namespace ft::ops {

struct DynamicMaps {
  torch::Tensor signed_map, unsigned_map;  // float32 [256].
};

// Thread-safe; made once a device.
DynamicMaps DynamicMapsOn(at::Device device);

}  // namespace ft::ops
