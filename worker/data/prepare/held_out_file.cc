#include "worker/data/prepare/held_out_file.h"

#include <filesystem>
#include <set>
#include <utility>

#include "core/base/counted.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {
namespace {

// What says which records of which files a source has belongs to that source alone.
recipe::DataSource SourceOfFile(const recipe::DataSource& like, const std::string& file) {
  recipe::DataSource source{.source = file};
  if (data::IsPlainText(file) && like.format != "text") return source;
  source.format = like.format;
  source.template_name = like.template_name;
  source.column = like.column;
  source.documents = like.documents;
  source.loss_on = like.loss_on;
  source.map = like.map;
  return source;
}

}  // namespace

recipe::JobSpec JobOfFile(const recipe::JobSpec& spec, const std::string& file) {
  recipe::JobSpec job = spec;
  job.data = {SourceOfFile(spec.data.empty() ? recipe::DataSource() : spec.data[0], file)};
  job.holdout = 0;
  job.train.packing = false;
  job.gate.allow_unsupervised = true;
  job.gate.allow_truncation = true;
  return job;
}

std::string HeldOutSentence(const std::string& file, const PreparedReport& report, int64_t max_length) {
  std::string text = StrCat(file, ": ", Counted(report.samples, "sample"), " for perplexity, ",
                            Counted(report.tokens, "token"), " of which ", report.supervised_tokens,
                            report.supervised_tokens == 1 ? " counts" : " count");
  if (const int64_t cut = report.truncated_samples; cut > 0)
    StrAppend(&text, "; ", cut, cut == 1 ? " was cut to " : " were cut to ", max_length);
  return text;
}

std::vector<std::string> NamesOfFiles(const std::vector<std::string>& files) {
  std::set<std::string> taken = {std::string(recipe::kHoldout)};
  std::vector<std::string> names;
  for (const std::string& file : files) {
    const std::string stem = std::filesystem::path(file).stem().string();
    std::string name = stem;
    for (int number = 2; !taken.insert(name).second; ++number) name = StrCat(stem, ".", number);
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace ft::prepare
