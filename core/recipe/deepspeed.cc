#include "core/recipe/deepspeed.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "core/base/excerpt.h"
#include "core/recipe/deepspeed_keys.h"
#include "core/recipe/parse.h"
#include "core/recipe/strict_json.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostShown = 57;
constexpr size_t kMostProblems = 20;  // More lines are of no use to anybody.
constexpr size_t kLongestKey = 64;    // Of those whose nearest is looked for.

std::string Shown(const Json& value) {
  return Excerpt(value.dump(-1, ' ', false, Json::error_handler_t::replace), kMostShown);
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

const DeepspeedKeyRule* FindRule(std::string_view path) {
  for (const DeepspeedKeyRule& rule : DeepspeedKeyRules()) {
    if (rule.path == path) return &rule;
  }
  return nullptr;
}

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('.') + 1); }

// The known key that is meant by one that is unknown: beside it, or the same word elsewhere.
std::string NearestKey(std::string_view above, const std::string& key) {
  std::set<std::string> beside;
  for (const DeepspeedKeyRule& rule : DeepspeedKeyRules()) {
    const std::string_view last = LastPart(rule.path);
    if (last == key) return std::string(rule.path);
    if (rule.path.size() == above.size() + last.size() && rule.path.starts_with(above)) beside.emplace(last);
  }
  return Nearest(key.substr(0, kLongestKey), beside);
}

bool IsNumbers(const Json& value) {
  return value.is_number() ||
         (value.is_array() && !value.empty() &&
          std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_number(); }));
}

// Whether one of the keys in the list `switches` is on, here or, where there is none of them, in what lies below.
bool IsSwitchedOn(const Json& value, const Json& switches) {
  if (!value.is_object()) return !(value.is_null() || value == false || value == 0);
  bool has_switch = false;
  for (const Json& key : switches) {
    const auto found = value.find(key.get<std::string>());
    if (found == value.end()) continue;
    if (IsSwitchedOn(*found, switches)) return true;
    has_switch = true;
  }
  return !has_switch && std::any_of(value.begin(), value.end(), [&switches](const Json& below) {
    return below.is_object() && IsSwitchedOn(below, switches);
  });
}

// What is on where it is there, and says nothing else.
bool IsLeftOff(const Json& value) {
  return value.is_null() || value == false || (value.is_object() && value.value("enabled", Json()) == false);
}

bool IsWhole(const Json& value) {
  return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
}

// Whether the job leaves a key open with this value: it is to be chosen, or what every job says that was shown.
bool SaysNothing(std::string_view key, const Json& value) {
  static const std::map<std::string_view, Json> kOpen = {
      {"train.accumulation", 0},
      {"train.optimizer.lr", 0},
      {"train.max_steps", 0},
      {"parallel.zero", 0},
      {"parallel.offload.optimizer", "none"},
      {"parallel.offload.parameters", "none"},
      {"parallel.offload.path", ""},
  };
  const auto open = kOpen.find(key);
  return open != kOpen.end() && value == open->second;
}

class Mapping {
 public:
  Mapping(const std::string& file, const JobSpec& spec, Json& job) : file_(file), spec_(spec), job_(job) {}

  void Walk(const Json& object, const std::string& above) {
    for (const auto& [key, value] : object.items()) {
      if (complaints_ > kMostProblems) return;
      const std::string path = above + key;
      const DeepspeedKeyRule* rule = FindRule(path);
      if (rule != nullptr) {
        Take(*rule, value, object);
      } else {
        const std::string near = NearestKey(above, key);
        Complain(path, near.empty() ? "unknown key" : StrCat("unknown key, did you mean '", near, "'?"));
      }
    }
  }

  // What no single key shows.
  void CheckWhole(const Json& root) {
    if (fp16_ && bf16_) Complain("fp16.enabled", "is true beside bf16.enabled: switch one of the two off");
    if (moves_parameters_ && NumberOf("parallel.zero", spec_.parallel.zero) < 3)
      Complain(
          "zero_optimization.offload_param",
          "needs stage 3: take it out, or set parallel.offload.parameters in the job for weights that are "
          "not trained");
    if (root.contains("train_batch_size")) CheckBatch(root["train_batch_size"]);
    std::string without_meaning;
    for (const DeepspeedKey& key : taken_.keys) {
      if (!key.has_meaning) StrAppend(&without_meaning, without_meaning.empty() ? "" : ", ", key.path);
    }
    if (!without_meaning.empty())
      taken_.remarks.push_back(StrCat(file_, ": without meaning here: ", without_meaning));
  }

  StatusOr<DeepspeedFile> Result() && {
    if (problems_.empty()) return std::move(taken_);
    return absl::InvalidArgumentError(problems_);
  }

 private:
  void Take(const DeepspeedKeyRule& rule, const Json& value, const Json& beside) {
    switch (rule.rule) {
      case DeepspeedRule::kObject: return TakeObject(rule, value);
      case DeepspeedRule::kNoMeaning: return HasNoMeaning(rule, value);
      case DeepspeedRule::kOnly: return TakeOnly(rule, value);
      case DeepspeedRule::kOffUnless:
        return TakeOff(rule, value, !IsSwitchedOn(value, Json::parse(rule.word)));
      case DeepspeedRule::kOnIfThere: return TakeOff(rule, value, IsLeftOff(value));
      case DeepspeedRule::kNumber: return TakeNumber(rule, value);
      case DeepspeedRule::kCount: return TakeCount(rule, value);
      case DeepspeedRule::kPowerOfTwo: return TakePower(rule, value);
      case DeepspeedRule::kStage: return TakeStage(rule, value);
      case DeepspeedRule::kTier: return TakeTier(rule, value, beside);
      case DeepspeedRule::kTierPath: return TakeTierPath(rule, value, beside);
      case DeepspeedRule::kBatch: return;  // When all else is known.
      case DeepspeedRule::kDtype: return TakeDtype(rule, value);
      case DeepspeedRule::kOptimizerType: return TakeOptimizer(rule, value);
      case DeepspeedRule::kSchedulerType: return TakeScheduler(rule, value);
    }
  }

  void TakeObject(const DeepspeedKeyRule& rule, const Json& value) {
    if (value.is_null()) return;
    if (!value.is_object())
      return Complain(rule.path, StrCat("expects a mapping of keys, got ", Shown(value)));
    Walk(value, StrCat(rule.path, "."));
  }

  void TakeOnly(const DeepspeedKeyRule& rule, const Json& value) {
    const Json allowed = Json::parse(rule.word);
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) return Refuse(rule, value);
    Became(rule.path, value, "as here");
  }

  void TakeOff(const DeepspeedKeyRule& rule, const Json& value, bool is_off) {
    return is_off ? Became(rule.path, value, "off, as here") : Refuse(rule, value);
  }

  void TakeCount(const DeepspeedKeyRule& rule, const Json& value) {
    if (value != "auto" && !IsWhole(value))
      return Complain(rule.path, StrCat("expects a whole number or \"auto\", got ", Shown(value)));
    TakeNumber(rule, value);
  }

  void TakeNumber(const DeepspeedKeyRule& rule, const Json& value) {
    if (value == "auto") return Became(rule.path, value, StrCat("the job's ", rule.word));
    if (!IsNumbers(value))
      return Complain(rule.path, StrCat("expects a number or \"auto\", got ", Shown(value)));
    Set(rule, value, value, /*may_give_way=*/true);
  }

  void TakePower(const DeepspeedKeyRule& rule, const Json& value) {
    const double power = IsWhole(value) ? std::exp2(value.get<double>()) : INFINITY;
    if (!std::isfinite(power))
      return Complain(rule.path, StrCat("expects a whole number, got ", Shown(value)));
    const bool is_whole = power >= 1 && power < 1e15;
    Set(rule, value, is_whole ? Json(static_cast<int64_t>(power)) : Json(power), /*may_give_way=*/true);
  }

  void TakeStage(const DeepspeedKeyRule& rule, const Json& value) {
    const bool is_stage = value.is_number_integer() && value >= 0 && value <= 3;
    if (!is_stage) return Complain(rule.path, StrCat("'", Shown(value), "' is none of: ", "0, 1, 2, 3"));
    Set(rule, value, value, /*may_give_way=*/false);
  }

  void TakeTier(const DeepspeedKeyRule& rule, const Json& value, const Json& beside) {
    constexpr std::pair<std::string_view, std::string_view> kTiers[] = {
        {"cpu", "cpu"}, {"nvme", "disk"}, {"none", "none"}};
    const auto tier = std::find_if(std::begin(kTiers), std::end(kTiers), [&](const auto& known) {
      return value.is_null() ? known.first == "none" : value == known.first;
    });
    if (tier == std::end(kTiers)) {
      std::string all;
      for (const auto& [known, ours] : kTiers) StrAppend(&all, all.empty() ? "" : ", ", known);
      return Complain(rule.path, StrCat("'", Shown(value), "' is none of: ", all));
    }
    const auto path = beside.find("nvme_path");
    const bool has_path = path != beside.end() && path->is_string() && *path != "";
    if (tier->second == "disk" && !has_path)
      return Complain(rule.path, "is nvme and there is no nvme_path beside it: give the folder");
    if (rule.word == "parallel.offload.parameters" && tier->second != "none") moves_parameters_ = true;
    Set(rule, value, tier->second, /*may_give_way=*/false);
  }

  void TakeTierPath(const DeepspeedKeyRule& rule, const Json& value, const Json& beside) {
    if (!value.is_string() && !value.is_null())
      return Complain(rule.path, StrCat("expects text, got ", Shown(value)));
    const auto device = beside.find("device");
    const bool is_used = device != beside.end() && *device == "nvme" && value.is_string() && value != "";
    if (is_used && !rule.word.empty()) return Set(rule, value, value, /*may_give_way=*/false);
    HasNoMeaning(rule, value);
  }

  void TakeDtype(const DeepspeedKeyRule& rule, const Json& value) {
    if (value == "auto" || value == false) return Became(rule.path, value, "the job's model.dtype");
    if (value != true)
      return Complain(rule.path, StrCat("expects true, false or \"auto\", got ", Shown(value)));
    (rule.word == "fp16" ? fp16_ : bf16_) = true;
    if (fp16_ && bf16_) return;  // CheckWhole says it.
    const Json* given = Given("model.dtype");
    if (given != nullptr && *given != "auto" && *given != rule.word)
      return Contradict(rule.path, value, StrCat("model.dtype: ", Shown(*given)));
    Assign(rule.path, "model.dtype", value, rule.word);
  }

  void TakeOptimizer(const DeepspeedKeyRule& rule, const Json& value) {
    const std::string type = value.is_string() ? Lower(value.get<std::string>()) : "";
    if (type != "adam" && type != "adamw") return Refuse(rule, value);
    std::string job = StrCat("train.optimizer.kind: ", spec_.train.optimizer.kind);
    if (spec_.train.optimizer.kind != "sgd") return Became(rule.path, value, std::move(job));
    if (HasXTunersHabits(spec_)) return GiveWay(rule.path, value, std::move(job));
    Contradict(rule.path, value, job);
  }

  void TakeScheduler(const DeepspeedKeyRule& rule, const Json& value) {
    constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
        {"WarmupLR", "constant"}, {"WarmupDecayLR", "linear"}, {"WarmupCosineLR", "cosine"}};
    if (value == "auto") return Became(rule.path, value, "the job's train.schedule.kind");
    const auto found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const auto& kind) { return value == kind.first; });
    if (found == std::end(kKinds)) return Refuse(rule, value);
    Set(rule, value, found->second, /*may_give_way=*/false);
  }

  void CheckBatch(const Json& value) {
    constexpr std::string_view kPath = "train_batch_size";
    if (value == "auto") return Became(kPath, value, "the job's train.micro_batch and train.accumulation");
    if (!value.is_number_integer() || value < 1)
      return Complain(kPath, StrCat("expects a whole number or \"auto\", got ", Shown(value)));
    const auto batch = value.get<double>();
    const double ranks = spec_.parallel.ranks;
    const double accumulation = NumberOf("train.accumulation", static_cast<double>(spec_.train.accumulation));
    const double rows = NumberOf("train.micro_batch", static_cast<double>(spec_.train.micro_batch));
    const bool rows_open = accumulation != 0 && Given("train.micro_batch") == nullptr;
    const double known = ranks * (accumulation == 0 ? 1 : accumulation) * (rows_open ? 1 : rows);
    if ((rows_open || accumulation == 0) && std::fmod(batch, known) == 0)
      return Assign(kPath, rows_open ? "train.micro_batch" : "train.accumulation", value,
                    static_cast<int64_t>(batch / known));
    std::string job = rows_open ? "" : StrCat("train.micro_batch: ", rows, " x ");
    StrAppend(&job, "parallel.ranks: ", spec_.parallel.ranks);
    if (accumulation != 0) StrAppend(&job, " x train.accumulation: ", accumulation);
    if (batch == known) return Became(kPath, value, std::move(job));
    if (HasXTunersHabits(spec_)) return GiveWay(kPath, value, std::move(job));
    Contradict(kPath, value, job);
  }

  // A setting that the job has too must be the same, or gives way where the job has XTuner's habits.
  void Set(const DeepspeedKeyRule& rule, const Json& value, const Json& setting, bool may_give_way) {
    const Json* given = Given(rule.word);
    const bool is_open = given == nullptr || SaysNothing(rule.word, *given);
    if (is_open) set_by_.emplace(rule.word, rule.path);
    if (is_open || *given == setting) return Assign(rule.path, rule.word, value, setting);
    if (const auto earlier = set_by_.find(rule.word); earlier != set_by_.end())
      return Complain(rule.path, StrCat(Shown(value), " contradicts ", earlier->second,
                                        " of the same file: make them equal, or take one out"));
    std::string job = StrCat(rule.word, ": ", Shown(*given));
    if (may_give_way && HasXTunersHabits(spec_)) return GiveWay(rule.path, value, std::move(job));
    Contradict(rule.path, value, job);
  }

  // `value` at `path` of the file becomes `setting` of the job's `key`.
  void Assign(std::string_view path, std::string_view key, const Json& value, const Json& setting) {
    const std::string assignment = StrCat(key, "=", setting.dump());
    Json alone = Json::object();
    JobSpec ignored;
    std::vector<Problem> wrong;
    if (!Override(alone, {assignment}).ok() || !Override(job_, {assignment}).ok())
      return Complain(path, StrCat("expects a number or \"auto\", got ", Shown(value)));
    ReadTree(alone, ignored, wrong);
    if (!wrong.empty()) return Complain(path, wrong.front().message);
    Became(path, value, StrCat(key, ": ", setting.is_string() ? setting.get<std::string>() : Shown(setting)));
  }

  // What the job itself says, or an earlier key of the file; null where neither does.
  const Json* Given(std::string_view key) const {
    const Json* node = &job_;
    for (size_t begin = 0; begin <= key.size();) {
      const size_t end = std::min(key.find('.', begin), key.size());
      if (!node->is_object()) return nullptr;
      const auto found = node->find(key.substr(begin, end - begin));
      if (found == node->end() || found->is_null()) return nullptr;
      node = &*found;
      begin = end + 1;
    }
    return node;
  }
  double NumberOf(std::string_view key, double otherwise) const {
    const Json* given = Given(key);
    return given != nullptr && given->is_number() ? given->get<double>() : otherwise;
  }

  void Became(std::string_view path, const Json& value, std::string became) {
    taken_.keys.push_back({.path = std::string(path), .value = Shown(value), .became = std::move(became)});
  }
  void HasNoMeaning(const DeepspeedKeyRule& rule, const Json& value) {
    Became(rule.path, value, std::string(rule.note));
    taken_.keys.back().has_meaning = false;
  }
  void GiveWay(std::string_view path, const Json& value, std::string job) {
    taken_.remarks.push_back(
        StrCat(file_, ": ", path, ": ", Shown(value), " gives way to the recipe's ", job));
    Became(path, value, StrCat("the job's ", job));
  }
  void Contradict(std::string_view path, const Json& value, std::string_view job) {
    Complain(path, StrCat(Shown(value), " contradicts the job's ", job,
                          "; make them equal, or write \"auto\" where DeepSpeed takes it"));
  }
  void Refuse(const DeepspeedKeyRule& rule, const Json& value) {
    Complain(rule.path, StrCat(Shown(value), " is not supported yet: ", rule.note));
  }
  void Complain(std::string_view path, std::string_view message) {
    if (++complaints_ > kMostProblems) return;
    StrAppend(&problems_, problems_.empty() ? "" : "\n", file_, ": ", Excerpt(path, 2 * kMostShown), ": ",
              message);
  }

  const std::string& file_;
  const JobSpec& spec_;
  Json& job_;
  DeepspeedFile taken_;
  std::string problems_;
  size_t complaints_ = 0;
  std::map<std::string, std::string, std::less<>> set_by_;  // By the job's key that the file set.
  bool fp16_ = false, bf16_ = false, moves_parameters_ = false;
};

}  // namespace

StatusOr<DeepspeedFile> TakeDeepspeedFile(std::string_view text, const std::string& file, const JobSpec& spec,
                                          Json& job) {
  ASSIGN_OR_RETURN(const Json root, ReadStrictJson(text, file));
  Mapping mapping(file, spec, job);
  mapping.Walk(root, "");
  mapping.CheckWhole(root);
  return std::move(mapping).Result();
}

}  // namespace ft::recipe
