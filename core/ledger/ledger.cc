#include "core/ledger/ledger.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/records/record_file.h"

namespace ft::ledger {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kWholeDigits = 64;
constexpr size_t kTensorDigits = 16;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsDigest(const std::string& text, size_t digits) {
  if (text.empty()) return true;
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
}

Status BadKey(std::string_view key, std::string_view expected) {
  return absl::InvalidArgumentError(StrCat("ledger entry: `", key, "` must be ", expected));
}

StatusOr<std::string> DigestOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::string();
  if (!found->is_string() || !IsDigest(found->get_ref<const std::string&>(), kWholeDigits)) {
    return BadKey(key, "64 hexadecimal digits");
  }
  return found->get<std::string>();
}

StatusOr<TensorDigests> TensorOf(const std::string& name, const Json& value) {
  const auto is_digest = [](const Json& item) {
    return item.is_string() && IsDigest(item.get_ref<const std::string&>(), kTensorDigits);
  };
  if (!value.is_array() || value.size() != 2 || !is_digest(value[0]) || !is_digest(value[1])) {
    return BadKey(StrCat("tensors.", name), "two digests of 16 hexadecimal digits");
  }
  return TensorDigests{.gradient = value[0].get<std::string>(), .weights = value[1].get<std::string>()};
}

// The number of an attempt's folder, or nothing for any other name.
std::optional<int64_t> EpochOf(const std::string& name) {
  if (name.empty() || name.size() > 18 || !std::all_of(name.begin(), name.end(), IsDigit))
    return std::nullopt;
  return std::stoll(name);
}

bool Differ(const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; }

// The first tensor, in natural order, whose digest differs or that only one side has.
std::optional<std::string> FirstTensor(const LedgerEntry& a, const LedgerEntry& b,
                                       std::string TensorDigests::*part) {
  if (a.tensors.empty() || b.tensors.empty()) return std::nullopt;
  std::optional<std::string> first;
  const auto offer = [&first](const std::string& name) {
    if (!first.has_value() || NaturalLess(name, *first)) first = name;
  };
  for (const auto& [name, digests] : a.tensors) {
    const auto other = b.tensors.find(name);
    if (other == b.tensors.end() || Differ(digests.*part, other->second.*part)) offer(name);
  }
  for (const auto& [name, digests] : b.tensors) {
    if (!a.tensors.contains(name)) offer(name);
  }
  return first;
}

std::string DigestIn(const LedgerEntry& entry, const std::string& tensor, std::string TensorDigests::*part) {
  const auto found = entry.tensors.find(tensor);
  return found == entry.tensors.end() ? std::string() : found->second.*part;
}

// Gradients or weights of one step: the tensor if one can be named, else the digest of the whole.
std::optional<LedgerDifference> PartDifference(const LedgerEntry& a, const LedgerEntry& b,
                                               DifferenceKind kind) {
  const bool is_gradient = kind == DifferenceKind::kGradient;
  const auto part = is_gradient ? &TensorDigests::gradient : &TensorDigests::weights;
  const auto whole = is_gradient ? &LedgerEntry::gradient : &LedgerEntry::weights;
  if (const std::optional<std::string> tensor = FirstTensor(a, b, part)) {
    return LedgerDifference{.step = a.step,
                            .kind = kind,
                            .tensor = *tensor,
                            .first = DigestIn(a, *tensor, part),
                            .second = DigestIn(b, *tensor, part)};
  }
  if (!Differ(a.*whole, b.*whole)) return std::nullopt;
  return LedgerDifference{.step = a.step, .kind = kind, .first = a.*whole, .second = b.*whole};
}

std::optional<LedgerDifference> StepDifference(const LedgerEntry& a, const LedgerEntry& b) {
  if (Differ(a.samples, b.samples)) {
    return LedgerDifference{
        .step = a.step, .kind = DifferenceKind::kSamples, .first = a.samples, .second = b.samples};
  }
  if (auto difference = PartDifference(a, b, DifferenceKind::kGradient)) return difference;
  return PartDifference(a, b, DifferenceKind::kWeights);
}

}  // namespace

std::string Encode(const LedgerEntry& entry) {
  Json tensors = Json::object();
  for (const auto& [name, digests] : entry.tensors)
    tensors[name] = Json::array({digests.gradient, digests.weights});
  Json object = Json::object();
  object["step"] = entry.step;
  if (entry.version > 1) object["version"] = entry.version;  // Entries of version 1 have no such key.
  object["samples"] = entry.samples;
  object["gradient"] = entry.gradient;
  object["weights"] = entry.weights;
  object["tensors"] = std::move(tensors);
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

StatusOr<LedgerEntry> Decode(std::string_view json) {
  const Json object = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::InvalidArgumentError("ledger entry: not a JSON object");
  LedgerEntry entry;
  const auto step = object.find("step");
  if (step == object.end() || !step->is_number_integer() || step->get<int64_t>() < 1) {
    return BadKey("step", "a whole number from 1");
  }
  entry.step = step->get<int64_t>();
  if (const auto version = object.find("version"); version != object.end()) {
    if (!version->is_number_integer() || version->get<int64_t>() < 1 || version->get<int64_t>() > kVersion)
      return BadKey("version", StrCat("a whole number from 1 to ", kVersion, ": a newer program wrote it"));
    entry.version = version->get<int>();
  }
  ASSIGN_OR_RETURN(entry.samples, DigestOf(object, "samples"));
  ASSIGN_OR_RETURN(entry.gradient, DigestOf(object, "gradient"));
  ASSIGN_OR_RETURN(entry.weights, DigestOf(object, "weights"));
  const auto tensors = object.find("tensors");
  if (tensors == object.end()) return entry;
  if (!tensors->is_object()) return BadKey("tensors", "an object");
  for (auto item = tensors->begin(); item != tensors->end(); ++item) {
    ASSIGN_OR_RETURN(entry.tensors[item.key()], TensorOf(item.key(), item.value()));
  }
  return entry;
}

StatusOr<std::vector<LedgerEntry>> ReadLedgerFile(const fs::path& path) {
  records::FrameReader reader(path);
  std::vector<LedgerEntry> entries;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<std::string> frames, reader.Next());
    if (frames.empty()) return entries;
    for (const std::string& frame : frames) {
      StatusOr<LedgerEntry> entry = Decode(frame);
      if (!entry.ok()) return WithContext(entry.status(), path.string());
      entries.push_back(*std::move(entry));
    }
  }
}

StatusOr<std::vector<LedgerEntry>> ReadJobLedger(const fs::path& run_dir) {
  const fs::path attempts = run_dir / "attempts";
  std::error_code error;
  std::vector<std::pair<int64_t, fs::path>> folders;
  for (fs::directory_iterator it(attempts, error), end; !error && it != end; it.increment(error)) {
    const std::optional<int64_t> epoch = EpochOf(it->path().filename().string());
    if (epoch.has_value()) folders.emplace_back(*epoch, it->path());
  }
  if (error) return ErrnoStatus("read folder", attempts, error.value());
  std::sort(folders.begin(), folders.end());
  std::map<int64_t, LedgerEntry> by_step;
  for (const auto& [epoch, folder] : folders) {
    ASSIGN_OR_RETURN(std::vector<LedgerEntry> entries, ReadLedgerFile(folder / "ledger.ftr"));
    for (LedgerEntry& entry : entries) {
      const int64_t step = entry.step;
      by_step.insert_or_assign(step, std::move(entry));
    }
  }
  std::vector<LedgerEntry> ledger;
  ledger.reserve(by_step.size());
  for (auto& [step, entry] : by_step) ledger.push_back(std::move(entry));
  return ledger;
}

int64_t FirstIncomparable(const std::vector<LedgerEntry>& first, const std::vector<LedgerEntry>& second) {
  size_t j = 0;
  for (const LedgerEntry& entry : first) {
    while (j < second.size() && second[j].step < entry.step) ++j;
    if (j == second.size()) return 0;
    if (second[j].step == entry.step && second[j].version != entry.version) return entry.step;
  }
  return 0;
}

std::optional<LedgerDifference> FirstDifference(const std::vector<LedgerEntry>& first,
                                                const std::vector<LedgerEntry>& second) {
  size_t i = 0;
  size_t j = 0;
  while (i < first.size() || j < second.size()) {
    if (i == first.size() || (j < second.size() && second[j].step < first[i].step)) {
      return LedgerDifference{.step = second[j].step, .kind = DifferenceKind::kMissingInFirst};
    }
    if (j == second.size() || first[i].step < second[j].step) {
      return LedgerDifference{.step = first[i].step, .kind = DifferenceKind::kMissingInSecond};
    }
    if (auto difference = StepDifference(first[i], second[j])) return difference;
    ++i;
    ++j;
  }
  return std::nullopt;
}

bool NaturalLess(std::string_view a, std::string_view b) {
  size_t i = 0;
  size_t j = 0;
  const auto digits_end = [](std::string_view text, size_t from) {
    while (from < text.size() && IsDigit(text[from])) ++from;
    return from;
  };
  while (i < a.size() && j < b.size()) {
    if (!IsDigit(a[i]) || !IsDigit(b[j])) {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
      continue;
    }
    while (i + 1 < a.size() && a[i] == '0' && IsDigit(a[i + 1])) ++i;
    while (j + 1 < b.size() && b[j] == '0' && IsDigit(b[j + 1])) ++j;
    const std::string_view x = a.substr(i, digits_end(a, i) - i);
    const std::string_view y = b.substr(j, digits_end(b, j) - j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
    i += x.size();
    j += y.size();
  }
  if (i == a.size() && j == b.size()) return a < b;
  return i == a.size();
}

}  // namespace ft::ledger
