// How this process reaches hubs: where they are, what is kept of them here, and in whose name it asks. Tokens are secrets: they
// are in no message, no log and no file that this program writes.
//
// The variables are those of the hubs' own Python clients:
//   HF_ENDPOINT, MODELSCOPE_ENDPOINT            a mirror in the hub's place
//   HF_HUB_CACHE, HF_HOME, MODELSCOPE_CACHE     the caches' folders
//   HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE        1: no request at all
//   HF_TOKEN, MODELSCOPE_API_TOKEN              a token; else that of HF_TOKEN_PATH, where `hf auth login` writes it
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "core/base/status.h"
#include "core/recipe/hub_source.h"

namespace ft::hub {

struct Settings {
  std::string huggingface_endpoint = "https://huggingface.co";
  std::string modelscope_endpoint = "https://modelscope.cn";
  std::filesystem::path huggingface_cache;  // Of huggingface_hub's layout.
  std::filesystem::path modelscope_cache;   // Of modelscope's.
  bool offline = false;
  bool operator==(const Settings&) const = default;

  const std::string& endpoint(recipe::Hub hub) const {
    return hub == recipe::Hub::kHuggingFace ? huggingface_endpoint : modelscope_endpoint;
  }
};

struct Tokens {
  std::string huggingface;  // Empty = anonymous.
  std::string modelscope;
  bool operator==(const Tokens&) const = default;

  bool empty() const { return huggingface.empty() && modelscope.empty(); }
  const std::string& of(recipe::Hub hub) const {
    return hub == recipe::Hub::kHuggingFace ? huggingface : modelscope;
  }
};

struct Access {
  Settings settings;
  Tokens tokens;
};

// A variable's value; nothing when it is not set.
using Variables = std::function<std::optional<std::string>(const char* name)>;

// Those of this process. For programs, where they start.
Variables ProcessVariables();

Settings SettingsOf(const Variables& variables);
// Of the user whose variables and files these are. A file that is not there or holds no token counts as none.
Tokens TokensOf(const Variables& variables);

// INVALID_ARGUMENT, naming `key`: no https:// address of a host, or http:// of another machine than this one.
Status CheckEndpoint(std::string_view key, std::string_view endpoint);

// The variable in which a worker gives its ranks all of the above, as JSON. Whoever has read it takes it out of the environment.
inline constexpr const char* kAccessVariable = "FT_HUB_ACCESS";
std::string ToJson(const Access& access);
StatusOr<Access> AccessFromJson(std::string_view json);

}  // namespace ft::hub
