// Values of parquet columns as a person would write them: dates as 2023-11-05, times as 2023-11-05 14:30:00 with as many digits of a
// second as it takes, decimals with their point, whole numbers and fractions as JSON has them.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "worker/data/readers/parquet_encodings.h"
#include "worker/data/readers/record.h"

namespace ft::data {

// Sets kind and text of the field; kError, with the cause as its text, where the value cannot be text. What is no number (NaN) is
// null, which is what its writers mean by it.
void TextOfParquet(const ParquetLeaf& leaf, const ParquetValue& value, Field* field);

// A field that TextOfParquet set, as a part of a larger value. REQUIRES: it is not kError.
nlohmann::ordered_json JsonOfParquet(const ParquetLeaf& leaf, const ParquetValue& value, const Field& field);

}  // namespace ft::data
