#define PCRE2_CODE_UNIT_WIDTH 8
#include "worker/model/params/module_pattern.h"

#include <pcre2.h>

#include <array>
#include <memory>
#include <string>

#include "core/base/str_cat.h"

namespace ft::params {
namespace {

constexpr size_t kLongestExpression = 4096;
constexpr uint32_t kMatchLimit = 200'000, kHeapLimitKib = 4096;

struct PcreDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
template <typename T>
using Pcre = std::unique_ptr<T, PcreDeleter>;

std::string MessageOf(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR Bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

bool IsExpression(std::string_view text) {
  return text.find_first_of("*+?()[]{}|\\^$") != std::string_view::npos;
}

StatusOr<bool> MatchesWhole(std::string_view expression, std::string_view module) {
  if (expression.size() > kLongestExpression) {
    return absl::UnimplementedError(
        StrCat("a regular expression of ", expression.size(), " bytes is longer than ", kLongestExpression));
  }
  int error = 0;
  PCRE2_SIZE place = 0;
  const Pcre<pcre2_code> code(pcre2_compile(Bytes(expression), expression.size(),
                                            PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &place,
                                            nullptr));
  if (code == nullptr) {
    return absl::InvalidArgumentError(
        StrCat("the regular expression '", expression, "' is not valid: ", MessageOf(error)));
  }
  const Pcre<pcre2_match_data> data(pcre2_match_data_create(1, nullptr));
  const Pcre<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr)
    return absl::ResourceExhaustedError("out of memory while matching names of modules");
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  const int found = pcre2_match(code.get(), Bytes(module), module.size(), 0, 0, data.get(), context.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found >= 0) return true;
  return absl::UnimplementedError(StrCat("the regular expression '", expression,
                                         "' takes too long over the name ", module, ": ", MessageOf(found)));
}

bool EndsWith(std::string_view module, std::string_view name) {
  if (!module.ends_with(name)) return false;
  return module.size() == name.size() || module[module.size() - name.size() - 1] == '.';
}

StatusOr<bool> MatchesKey(std::string_view key, std::string_view module) {
  if (!IsExpression(key)) return EndsWith(module, key);
  return MatchesWhole(StrCat("(.*\\.)?(", key, ")"), module);
}

}  // namespace ft::params
