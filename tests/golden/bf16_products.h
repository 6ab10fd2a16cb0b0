// How far logits may be from float32 where a device or CPU multiplies bfloat16, so that whatever enters a product has eight bits.
#pragma once

#include <string_view>

namespace ft::golden {

// The limit for the root mean square of the differences of all logits of a measure (`logits`, `long.logits`, `lora.logits`), as a
// fraction of the largest expected one: what tests/golden/reference_bf16.py measured of the implementation that made the numbers,
// where that runs a case; of other cases a quarter of 2e-2, since the largest of ten thousand normal differences is four times
// their root mean square (docs/decisions/0131).
double Bf16ProductsLimit(std::string_view case_name, std::string_view measure);

}  // namespace ft::golden
