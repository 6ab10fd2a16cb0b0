#include "client/job/data_digest.h"

#include <algorithm>
#include <sstream>

#include "core/base/sha256.h"
#include "core/base/status.h"

namespace ft::client {
namespace {

constexpr size_t kDigits = 16;
constexpr size_t kMostSources = 1000;

std::string WordOf(const std::string& source) {
  const StatusOr<Digest> digest = Sha256OfFile(source);
  return digest.ok() ? Hex(*digest).substr(0, kDigits) : std::string("-");
}

}  // namespace

std::string DataDigests(const recipe::JobSpec& spec) {
  std::string text;
  for (size_t i = 0; i < std::min(kMostSources, spec.data.size()); ++i) {
    StrAppend(&text, i == 0 ? "" : " ", WordOf(spec.data[i].source));
  }
  return text;
}

std::vector<std::string> ChangedData(const recipe::JobSpec& spec, std::string_view digests) {
  std::istringstream words{std::string(digests)};
  std::vector<std::string> changed;
  std::string word;
  for (const recipe::DataSource& source : spec.data) {
    if (!(words >> word)) break;
    if (word != "-" && WordOf(source.source) != word) changed.push_back(source.source);
  }
  return changed;
}

}  // namespace ft::client
