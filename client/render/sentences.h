// Chinese for what ft-rank and the coordinator say, which is English wherever it is made: plans, data reports, refusals,
// states. Sentences are known by their templates; what no template fits (a library's own words, a person's text) stays as it is.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "client/render/terminal.h"

namespace ft::client {

// `{0}` stands for any text, `{#0}` for a number, `<0>` for a text that is translated itself where it can be. Other braces
// are meant as they stand.
struct Template {
  std::string_view english;
  std::string_view chinese;
};

// The text in the terminal's language, line by line; indents stay.
std::string InLanguage(const Terminal& terminal, std::string_view text);

// As InLanguage, for a text that is known to be of one kind: `phrases` are looked for first, and only for the whole text. They
// may be words that elsewhere are somebody's own (templates.h).
std::string PhraseInLanguage(const Terminal& terminal, std::span<const Template> phrases,
                             std::string_view text);

// A report of prepared data: what it says of a sample is translated, the sample's own text is not.
std::string ReportInLanguage(const Terminal& terminal, std::string_view report_line);

// What `ft-rank plan` prints: keys, reasons and parts of memory in their columns.
std::string PlanInLanguage(const Terminal& terminal, std::string_view plan);

// For tests: all templates, a list for each kind of source.
std::span<const std::span<const Template>> AllTemplates();

}  // namespace ft::client
