// Tokenises a file of texts, for tests and benchmarks that compare with other libraries.
//
//   tokenise_texts FOLDER TEXTS [--special] [--ids | --seconds PASSES]
//
// FOLDER: a model's folder with its vocabulary. TEXTS: one JSON string a line. --special: special tokens in the text become
// their ids. --ids (the default): a line of ids a text, as JSON. --seconds: the shortest time of so many passes over
// all texts on one thread, as a JSON object with the bytes and the tokens of a pass.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft {
namespace {

using nlohmann::json;

struct Arguments {
  std::string folder, texts;
  bool special = false;
  int passes = 0;  // 0 = ids are printed.
};

StatusOr<std::vector<std::string>> ReadTexts(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  std::vector<std::string> texts;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const json line = json::parse(content.substr(begin, end - begin), nullptr, /*allow_exceptions=*/false);
    if (!line.is_string())
      return absl::InvalidArgumentError(StrCat(path, ": line ", texts.size() + 1, " is not a JSON string"));
    texts.push_back(line.get<std::string>());
    begin = end + 1;
  }
  return texts;
}

Status Measure(const tokenizer::Tokenizer& tokenizer, const std::vector<std::string>& texts,
               const Arguments& arguments) {
  double seconds = std::numeric_limits<double>::infinity();
  size_t bytes = 0, tokens = 0;
  for (int pass = 0; pass < arguments.passes; ++pass) {
    bytes = tokens = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& text : texts) {
      ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                       tokenizer.Encode(text, {.parse_special = arguments.special}));
      bytes += text.size();
      tokens += ids.size();
    }
    seconds =
        std::min(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("%s\n", json{{"seconds", seconds}, {"bytes", bytes}, {"tokens", tokens}}.dump().c_str());
  return absl::OkStatus();
}

Status Run(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::OpenTokenizer(arguments.folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, ReadTexts(arguments.texts));
  if (arguments.passes > 0) return Measure(*tokenizer, texts, arguments);
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                     tokenizer->Encode(text, {.parse_special = arguments.special}));
    std::printf("%s\n", json(ids).dump().c_str());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  ft::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--special") {
      arguments.special = true;
    } else if (argument == "--seconds" && i + 1 < argc) {
      arguments.passes = std::atoi(argv[++i]);
    } else if (argument != "--ids") {
      (arguments.folder.empty() ? arguments.folder : arguments.texts) = argument;
    }
  }
  const ft::Status status = ft::Run(arguments);
  if (!status.ok()) std::fprintf(stderr, "tokenise_texts: %s\n", std::string(ft::Message(status)).c_str());
  return status.ok() ? 0 : 1;
}
