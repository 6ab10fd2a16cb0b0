// Numbers for people. All are pure.
#pragma once

#include <cstdint>
#include <string>

namespace ft::client {

// 0.4s, 45s, 3m 05s, 1h 02m, 2d 03h; "-" for negative or not finite.
std::string FormatDuration(double seconds);

// 512 B, 1.5 KiB, 20 GiB.
std::string FormatBytes(int64_t bytes);

// 1,234,567
std::string FormatCount(int64_t count);

// 0.00012 as 1.2e-04, 2.345 as 2.3450; "-" when not finite.
std::string FormatLoss(double loss);
// Of a mean loss, in nats, four digits of the perplexity: 2 as 7.389; "-" when that is not finite.
std::string FormatPerplexity(double loss);
std::string FormatRate(double learning_rate);

}  // namespace ft::client
