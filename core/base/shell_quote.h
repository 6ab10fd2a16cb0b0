// Words of a command line as a person may paste them into a shell.
#pragma once

#include <string>
#include <string_view>

namespace ft {

// The word as it is where a POSIX shell takes it for one word and nothing more, else in single quotes.
std::string ShellQuoted(std::string_view word);

}  // namespace ft
