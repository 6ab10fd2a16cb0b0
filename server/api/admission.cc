#include "server/api/admission.h"

#include <openssl/rand.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "core/recipe/hub_source.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "core/recipe/supported.h"
#include "core/recipe/yaml_tree.h"
#include "core/recipes/resolve.h"
#include "core/rpc/errors.h"
#include "server/api/bounds.h"

namespace ft::api {
namespace {

namespace fs = std::filesystem;
namespace pb = finetune::v1;

constexpr std::string_view kUpload = "upload://";
constexpr std::string_view kQueue = "default";

Status Invalid(const std::string& text) {
  return rpc::WithReason(absl::InvalidArgumentError(text), pb::JOB_CONFIG_INVALID);
}

StatusOr<std::string> NamespaceOf(const std::string& parent) {
  if (parent.empty()) return std::string("default");
  const std::string_view prefix = "namespaces/";
  const std::string id = parent.starts_with(prefix) ? parent.substr(prefix.size()) : "";
  const bool valid = !id.empty() && id.size() <= 63 &&
                     id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!valid)
    return Invalid(StrCat("parent: '", parent, "' is not namespaces/NAME with a name of a-z, 0-9 and -"));
  return id;
}

bool Below(const fs::path& path, const fs::path& root) {
  const fs::path relative = path.lexically_relative(root);
  return !relative.empty() && *relative.begin() != "..";
}

// ">=8.0" or "8.0".
StatusOr<double> LeastCapability(const std::string& arch) {
  const std::string text = arch.starts_with(">=") ? arch.substr(2) : arch;
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !(value >= 1 && value < 100))
    return Invalid(
        StrCat("job.yaml: resources.arch: '", arch, "' is no compute capability such as \">=8.0\""));
  return value;
}

// A local path becomes its real, absolute form; a path outside the roots, also through a link, is refused.
Status ResolvePath(const std::string& key, const AdmissionRules& rules, std::string& source) {
  const fs::path path(source);
  if (!path.is_absolute()) {
    return Invalid(StrCat("job.yaml: ", key, ": '", source,
                          "' is a relative path: ftctl makes it absolute; give the whole path"));
  }
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  if (error) return Invalid(StrCat("job.yaml: ", key, ": '", source, "': ", error.message()));
  for (const std::string& root : rules.roots) {
    if (!Below(real, fs::weakly_canonical(root, error))) continue;
    source = real.string();  // What was checked is what is opened, wherever a link leads by then.
    return absl::OkStatus();
  }
  if (rules.roots.empty()) return absl::OkStatus();
  return rpc::WithReason(
      absl::PermissionDeniedError(StrCat("job.yaml: ", key, ": '", source,
                                         "' is outside the folders this coordinator reads from (roots)")),
      pb::PATH_OUTSIDE_ROOTS);
}

// upload://<sha256>/<file name> becomes the path of the uploaded file.
StatusOr<std::string> UploadedPath(const std::string& key, const AdmissionRules& rules,
                                   const std::string& source) {
  const std::string rest = source.substr(kUpload.size());
  const size_t slash = rest.find('/');
  const std::string digest = rest.substr(0, slash);
  const std::string name = slash == std::string::npos ? "" : rest.substr(slash + 1);
  const bool clean = digest.size() == 64 &&
                     digest.find_first_not_of("0123456789abcdef") == std::string::npos && !name.empty() &&
                     name.find('/') == std::string::npos && name != "." && name != "..";
  if (!clean) return Invalid(StrCat("job.yaml: ", key, ": '", source, "' is not upload://SHA256/FILE"));
  const fs::path path = rules.uploads / digest / name;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return Invalid(
        StrCat("job.yaml: ", key, ": '", source, "' has not been uploaded completely: upload it again"));
  }
  return path.string();
}

// An uploaded file, or a path.
Status ResolveFile(const std::string& key, const AdmissionRules& rules, std::string& file) {
  if (!file.starts_with(kUpload)) return ResolvePath(key, rules, file);
  ASSIGN_OR_RETURN(file, UploadedPath(key, rules, file));
  return absl::OkStatus();
}

// What lies on a hub stays as it is: the node that prepares the job downloads it.
Status ResolveSources(const AdmissionRules& rules, recipe::JobSpec& spec) {
  if (!recipe::IsHubSource(spec.model.source))
    RETURN_IF_ERROR(ResolvePath("model.source", rules, spec.model.source));
  if (!spec.method.init_from.empty())
    RETURN_IF_ERROR(ResolvePath("method.init_from", rules, spec.method.init_from));
  for (std::string& set : spec.train.evaluate.sets)
    RETURN_IF_ERROR(ResolvePath("train.evaluate.sets", rules, set));
  for (std::string& file : spec.train.evaluate.prompt_files)
    RETURN_IF_ERROR(ResolveFile("train.evaluate.prompt_files", rules, file));
  for (std::string& file : spec.train.evaluate.perplexity)
    RETURN_IF_ERROR(ResolveFile("train.evaluate.perplexity", rules, file));
  for (size_t i = 0; i < spec.data.size(); ++i) {
    const std::string key = StrCat("data[", i, "].source");
    std::string& source = spec.data[i].source;
    if (!recipe::IsHubSource(source)) RETURN_IF_ERROR(ResolveFile(key, rules, source));
  }
  return absl::OkStatus();
}

// The owner's tokens are kept for a job that has something to read with them, and for no other.
Status TakeTokens(const pb::HubTokens& tokens, const recipe::JobSpec& spec, state::spb::StoredJob& row) {
  for (const auto& [key, token] : {std::pair("hub_tokens.huggingface", &tokens.huggingface()),
                                   std::pair("hub_tokens.modelscope", &tokens.modelscope())}) {
    if (const Status checked = recipe::CheckHubToken(key, *token); !checked.ok())
      return Invalid(std::string(Message(checked)));
  }
  if (recipe::UsesHubs(spec)) *row.mutable_hub_tokens() = tokens;
  return absl::OkStatus();
}

// A queue or a device that nobody serves would let the job wait for ever.
Status CheckResources(const recipe::JobSpec& spec, state::spb::StoredJob& row) {
  if (spec.resources.queue != kQueue) {
    return Invalid(StrCat("job.yaml: resources.queue: there is no queue '", spec.resources.queue, "', only '",
                          kQueue, "'"));
  }
  if (spec.resources.arch.empty()) return absl::OkStatus();
  if (row.device() == "cpu")
    return Invalid(
        "job.yaml: resources.arch: is the compute capability of a GPU, and this job asks for none");
  row.set_device("gpu");
  ASSIGN_OR_RETURN(const double least, LeastCapability(spec.resources.arch));
  row.set_least_capability(least);
  return absl::OkStatus();
}

// The job file with the recipe that it starts from under it. ftctl sends whole job files; other clients may name a recipe of
// this program's.
StatusOr<std::string> WholeJobFile(const std::string& yaml) {
  if (yaml.find("recipe") == std::string::npos || !recipes::StartsFromRecipe(recipe::ReadYaml(yaml)))
    return yaml;
  const auto no_files = [](const fs::path& path) -> StatusOr<std::string> {
    return absl::NotFoundError(StrCat("recipe files such as ", path.string(),
                                      " are read by ftctl: send the whole job file, or name a "
                                      "recipe of the coordinator's"));
  };
  const auto resolved =
      recipes::Resolve({.yaml = yaml, .file_name = "job.yaml", .folder = "/"}, {}, no_files);
  if (!resolved.ok()) return Invalid(std::string(Message(resolved.status())));
  return resolved->job.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

StatusOr<Admitted> Admit(const pb::CreateJobRequest& request, const AdmissionRules& rules) {
  RETURN_IF_ERROR(CheckText("request_id", request.request_id(), kMaxNameBytes));
  ASSIGN_OR_RETURN(const std::string namespace_id, NamespaceOf(request.parent()));
  ASSIGN_OR_RETURN(const std::string yaml, WholeJobFile(request.job().config_yaml()));
  auto parsed = recipe::ParseJob(yaml, "job.yaml", /*with_lines=*/yaml == request.job().config_yaml());
  if (!parsed.ok()) return rpc::WithReason(parsed.status(), pb::JOB_CONFIG_INVALID);
  recipe::JobSpec spec = *std::move(parsed);
  if (const Status supported = recipe::CheckSupported(spec); !supported.ok()) {
    return rpc::WithReason(supported, pb::NOT_SUPPORTED_YET);
  }
  RETURN_IF_ERROR(ResolveSources(rules, spec));
  for (const auto& [key, value] : request.job().labels()) spec.labels[key] = value;
  RETURN_IF_ERROR(CheckText("job.yaml: name", spec.name, kMaxNameBytes));

  Admitted admitted;
  state::spb::StoredJob& row = admitted.row;
  row.set_namespace_id(namespace_id);
  row.set_priority(spec.resources.priority);
  row.set_queue(spec.resources.queue);
  row.set_ranks(spec.parallel.ranks);
  row.set_min_ranks(spec.parallel.min_ranks);
  row.set_max_ranks(recipe::MaxRanks(spec.parallel));
  row.set_threads(spec.resources.threads);
  row.set_device(spec.resources.device);
  row.set_device_memory_bytes(spec.resources.device_memory_bytes);
  row.set_strict_exclusive(spec.strict_exclusive);
  row.set_allow_numeric_change(spec.allow_numeric_change);
  row.set_keep_last(spec.train.checkpoint.keep_last);
  pb::Job& job = *row.mutable_job();
  job.set_display_name(spec.name);
  for (const auto& [key, value] : spec.labels) (*job.mutable_labels())[key] = value;
  RETURN_IF_ERROR(CheckLabels(job.labels()));
  RETURN_IF_ERROR(CheckResources(spec, row));
  if (request.has_hub_tokens()) RETURN_IF_ERROR(TakeTokens(request.hub_tokens(), spec, row));
  admitted.config.set_config_yaml(request.job().config_yaml());
  admitted.config.set_resolved_config_json(recipe::ToJson(spec));
  return admitted;
}

std::string NewJobId() {
  unsigned char random[4];
  RAND_bytes(random, sizeof(random));
  char text[40];
  std::snprintf(text, sizeof(text), "j%011llx%02x%02x%02x%02x",
                static_cast<unsigned long long>(absl::ToUnixMillis(absl::Now())), random[0], random[1],
                random[2], random[3]);
  return text;
}

}  // namespace ft::api
