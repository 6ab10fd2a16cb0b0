// Unpacks a page of a parquet file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::data {

inline constexpr uint64_t kMaxParquetPageBytes = uint64_t{256} << 20;

// The `size` bytes that `packed` becomes by parquet's codec of that number. Nothing is allocated for a size that the codec cannot
// reach from so many bytes. INVALID_ARGUMENT says, without the place, what is wrong and what to do.
StatusOr<std::string> UnpackParquet(int64_t codec, std::string packed, uint64_t size);

}  // namespace ft::data
