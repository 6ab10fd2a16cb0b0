// Weights in files without a name, one for each part that is taken, read and written by threads of the tier's own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "worker/model/params/weight_tier.h"
#include "worker/train/offload/disk_tier.h"

namespace ft::offload {

// Opens the file of a part: OpenTileFile, or what tests make of it.
using OpenFile = std::function<StatusOr<OpenedTileFile>(int64_t bytes, const std::string& what)>;

// `remark` is called with what a person should know of a file, each sentence once. Whoever reads or writes waits.
std::unique_ptr<params::WeightTier> MakeDiskWeights(OpenFile open, DiskOptions options = {},
                                                    std::function<void(const std::string&)> remark = {});

}  // namespace ft::offload
