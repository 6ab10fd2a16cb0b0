#include "core/hub/access.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/excerpt.h"
#include "core/base/file.h"
#include "core/hub/url.h"
#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kLongestFile = 8192;

std::string Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

std::string Get(const Variables& variables, const char* name) {
  return Trimmed(variables(name).value_or(""));
}

bool IsTrue(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string Endpoint(const Variables& variables, const char* name, const std::string& otherwise) {
  std::string endpoint = Get(variables, name);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (endpoint.empty()) return otherwise;
  return endpoint.find("://") == std::string::npos ? "https://" + endpoint : endpoint;
}

fs::path Home(const Variables& variables) { return Get(variables, "HOME"); }

// The folder in a variable, `~` resolved, or the other.
fs::path Folder(const Variables& variables, const char* name, const fs::path& otherwise) {
  const std::string value = Get(variables, name);
  if (value.empty()) return otherwise;
  if (value == "~" || value.starts_with("~/"))
    return Home(variables) / value.substr(std::min<size_t>(2, value.size()));
  return fs::absolute(value).lexically_normal();
}

fs::path UserCache(const Variables& variables) {
  const fs::path home = Home(variables);
  return Folder(variables, "XDG_CACHE_HOME", home.empty() ? home : home / ".cache");
}

// Below a folder that nobody knows there is nothing.
fs::path Below(const fs::path& folder, const fs::path& name) {
  return folder.empty() ? folder : folder / name;
}

fs::path HuggingFaceHome(const Variables& variables) {
  return Folder(variables, "HF_HOME", Below(UserCache(variables), "huggingface"));
}

std::string TokenOfFile(const fs::path& path) {
  if (path.empty()) return "";
  const StatusOr<std::string> text = ReadFile(path, kLongestFile);
  if (!text.ok()) return "";
  std::string token = Trimmed(*text);
  return recipe::CheckHubToken("", token).ok() ? token : "";
}

}  // namespace

Variables ProcessVariables() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

Settings SettingsOf(const Variables& variables) {
  Settings settings;
  settings.huggingface_endpoint = Endpoint(variables, "HF_ENDPOINT", settings.huggingface_endpoint);
  settings.modelscope_endpoint = Endpoint(variables, "MODELSCOPE_ENDPOINT", settings.modelscope_endpoint);
  settings.huggingface_cache = Folder(variables, "HF_HUB_CACHE", Below(HuggingFaceHome(variables), "hub"));
  const fs::path home = Home(variables);
  settings.modelscope_cache = Folder(variables, "MODELSCOPE_CACHE", Below(home, ".cache/modelscope"));
  settings.offline =
      IsTrue(Get(variables, "HF_HUB_OFFLINE")) || IsTrue(Get(variables, "TRANSFORMERS_OFFLINE"));
  return settings;
}

Tokens TokensOf(const Variables& variables) {
  Tokens tokens;
  if (!IsTrue(Get(variables, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) {
    tokens.huggingface = Get(variables, "HF_TOKEN");
    if (tokens.huggingface.empty()) {
      tokens.huggingface =
          TokenOfFile(Folder(variables, "HF_TOKEN_PATH", Below(HuggingFaceHome(variables), "token")));
    }
  }
  // What `modelscope login` keeps is a pickle, which nothing but Python should open.
  tokens.modelscope = Get(variables, "MODELSCOPE_API_TOKEN");
  return tokens;
}

Status CheckEndpoint(std::string_view key, std::string_view endpoint) {
  const StatusOr<Url> url = ParseUrl(endpoint);
  if (!url.ok() || url->path.find('?') != std::string::npos) {
    return absl::InvalidArgumentError(
        StrCat(key, ": '", Excerpt(endpoint, 100), "' is no address of a hub: write https://HOST"));
  }
  if (url->scheme == "https" || IsLoopbackHost(url->host)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(key, ": ", url->Origin(),
             " would show tokens to everybody on the way: write https:// (http:// is "
             "for this machine only)"));
}

std::string ToJson(const Access& access) {
  return Json({{"huggingface_endpoint", access.settings.huggingface_endpoint},
               {"modelscope_endpoint", access.settings.modelscope_endpoint},
               {"huggingface_cache", access.settings.huggingface_cache.string()},
               {"modelscope_cache", access.settings.modelscope_cache.string()},
               {"offline", access.settings.offline},
               {"huggingface_token", access.tokens.huggingface},
               {"modelscope_token", access.tokens.modelscope}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

StatusOr<Access> AccessFromJson(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return absl::InvalidArgumentError(StrCat(kAccessVariable, " is no JSON object"));
  Access access;
  std::string huggingface_cache, modelscope_cache;
  const std::pair<const char*, std::string*> texts[] = {
      {"huggingface_endpoint", &access.settings.huggingface_endpoint},
      {"modelscope_endpoint", &access.settings.modelscope_endpoint},
      {"huggingface_cache", &huggingface_cache},
      {"modelscope_cache", &modelscope_cache},
      {"huggingface_token", &access.tokens.huggingface},
      {"modelscope_token", &access.tokens.modelscope}};
  for (const auto& [key, text] : texts) {
    const auto found = root.find(key);
    if (found == root.end() || !found->is_string())
      return absl::InvalidArgumentError(StrCat(kAccessVariable, ": ", key, " is missing or no text"));
    *text = found->get<std::string>();
  }
  access.settings.huggingface_cache = huggingface_cache;
  access.settings.modelscope_cache = modelscope_cache;
  const auto offline = root.find("offline");
  access.settings.offline = offline != root.end() && offline->is_boolean() && offline->get<bool>();
  return access;
}

}  // namespace ft::hub
