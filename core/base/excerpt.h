// Pieces of a person's own text for messages: short, on one line, of whole characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ft {

// The first `characters` of `text`, with "..." behind when more follows. Control characters become blanks.
std::string Excerpt(std::string_view text, size_t characters = 24);

// What stands around byte `offset`: some characters before it and more from it on. REQUIRES: UTF-8.
std::string ExcerptAround(std::string_view text, size_t offset);

}  // namespace ft
