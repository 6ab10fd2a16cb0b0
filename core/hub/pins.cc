#include "core/hub/pins.h"

#include <algorithm>

#include "core/base/file.h"
#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

using Json = nlohmann::json;

constexpr const char* kFile = "sources.json";
constexpr uint64_t kLargest = 1 << 20;

}  // namespace

std::vector<Pin> ReadPins(const std::filesystem::path& run_dir) {
  std::vector<Pin> pins;
  const StatusOr<std::string> text = ReadFile(run_dir / kFile, kLargest);
  if (!text.ok()) return pins;
  const Json root = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_array()) return pins;
  for (const Json& entry : root) {
    if (!entry.is_object()) continue;
    const auto text_of = [&entry](const char* key) {
      const auto found = entry.find(key);
      return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    pins.push_back({text_of("source"), text_of("version"), text_of("folder")});
  }
  return pins;
}

Status WritePins(const std::filesystem::path& run_dir, const std::vector<Pin>& pins) {
  Json root = Json::array();
  for (const Pin& pin : pins)
    root.push_back({{"source", pin.source}, {"version", pin.version}, {"folder", pin.folder.string()}});
  RETURN_IF_ERROR(MakeDirectories(run_dir));
  return WriteFileDurably(run_dir / kFile, root.dump(2, ' ', false, Json::error_handler_t::replace));
}

const Pin* FindPin(const std::vector<Pin>& pins, std::string_view source) {
  const auto found =
      std::find_if(pins.begin(), pins.end(), [&](const Pin& pin) { return pin.source == source; });
  return found == pins.end() ? nullptr : &*found;
}

}  // namespace ft::hub
