#include "client/job/arxiv.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <span>
#include <string_view>

#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPieceBytes = uint64_t{1} << 20;
constexpr size_t kMaxLineBytes = size_t{16} << 20;
constexpr size_t kBrokenListed = 10;

// Whether it is a day, written as 2020-01-31. Such texts are ordered as their days are.
bool IsDate(const std::string& text) {
  int year = 0, used = 0;
  unsigned month = 0, day = 0;
  const bool read = text.size() == 10 &&
                    std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &used) == 3 && used == 10;
  return read && std::chrono::year_month_day{std::chrono::year{year}, std::chrono::month{month},
                                             std::chrono::day{day}}
                     .ok();
}

Status Check(const fs::path& target, const ArxivChoice& choice) {
  if (!IsDate(choice.start_date))
    return absl::InvalidArgumentError(StrCat("'", choice.start_date, "' is no date: write it as 2020-01-31"));
  if (choice.categories.empty())
    return absl::InvalidArgumentError("no category is named: write --categories cs.AI, for example");
  std::error_code error;
  if (fs::exists(target, error))
    return absl::InvalidArgumentError(
        StrCat(target.string(), " is there already: remove it, or name another file"));
  return absl::OkStatus();
}

class Chooser {
 public:
  Chooser(const ArxivChoice& choice, std::ofstream& out) : choice_(choice), out_(out) {}

  void Line(std::string_view line) {
    ++line_;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) return;
    const auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) {
      if (++counts_.all_broken <= static_cast<int64_t>(kBrokenListed)) counts_.broken.push_back(line_);
      return;
    }
    ++counts_.records;
    if (!IsChosen(record)) return;
    out_ << (counts_.kept++ == 0 ? "[\n" : ",\n") << line;
  }
  const ArxivCounts& counts() const { return counts_; }

 private:
  static std::string TextOf(const nlohmann::json& record, const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_string() ? found->get<std::string>() : "";
  }
  bool IsChosen(const nlohmann::json& record) const {
    if (TextOf(record, "update_date") < choice_.start_date) return false;
    const std::vector<std::string> categories =
        absl::StrSplit(TextOf(record, "categories"), ' ', absl::SkipEmpty());
    return std::find_first_of(categories.begin(), categories.end(), choice_.categories.begin(),
                              choice_.categories.end()) != categories.end();
  }

  const ArxivChoice& choice_;
  std::ofstream& out_;
  int64_t line_ = 0;
  ArxivCounts counts_;
};

Status WalkLines(const RandomAccessFile& file, Chooser& chooser) {
  std::string rest;
  int64_t line = 0;
  for (uint64_t at = 0; at < file.size(); at += kPieceBytes) {
    const size_t kept = rest.size();
    rest.resize(kept + std::min(kPieceBytes, file.size() - at));
    RETURN_IF_ERROR(file.ReadAt(at, std::as_writable_bytes(std::span(rest).subspan(kept))));
    size_t begin = 0;
    for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1, ++line)
      chooser.Line(std::string_view(rest).substr(begin, end - begin));
    rest.erase(0, begin);
    if (rest.size() > kMaxLineBytes) {
      return absl::InvalidArgumentError(StrCat(
          file.path().string(), " line ", line + 1,
          ": is longer than 16 MiB; give Kaggle's file of Cornell-University/arxiv, one object a line"));
    }
  }
  chooser.Line(rest);
  return absl::OkStatus();
}

}  // namespace

StatusOr<ArxivCounts> PreprocessArxiv(const fs::path& source, const fs::path& target,
                                      const ArxivChoice& choice) {
  RETURN_IF_ERROR(Check(target, choice));
  ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(source));
  const fs::path beside = target.string() + ".part";
  std::ofstream out(beside, std::ios::binary);
  Chooser chooser(choice, out);
  Status status = WalkLines(file, chooser);
  if (status.ok() && chooser.counts().kept == 0) {
    status = absl::InvalidArgumentError(
        StrCat(source.string(), " holds no record of these categories since ", choice.start_date,
               "; name others with --categories, or an earlier --start-date"));
  }
  out << "\n]\n";
  out.close();
  std::error_code error;
  if (status.ok() && !out) {
    status = absl::ResourceExhaustedError(
        StrCat("cannot write ", target.string(), ": make room there, or name a file in another folder"));
  }
  if (status.ok()) fs::rename(beside, target, error);
  if (status.ok() && error) status = ErrnoStatus("rename to", target, error.value());
  if (!status.ok()) {
    fs::remove(beside, error);
    return status;
  }
  return chooser.counts();
}

}  // namespace ft::client
