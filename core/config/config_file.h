// Reads a daemon's YAML file into its config struct: the caller binds each key to a variable that holds the
// default, then reads. Unknown keys, duplicates and wrong types are all reported at once, with file and line.
//   ConfigReader reader;
//   reader.Bind("data", &config.data);
//   RETURN_IF_ERROR(reader.ReadFile(path));
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ft::config {

class ConfigReader {
 public:
  // The variables outlive the reader.
  void Bind(const std::string& key, std::string* value);
  void Bind(const std::string& key, int64_t* value);
  void Bind(const std::string& key, bool* value);
  void Bind(const std::string& key, absl::Duration* value);  // "15s", "100ms"
  void Bind(const std::string& key, std::vector<std::string>* value);
  void Bind(const std::string& key, std::map<std::string, std::string>* value);

  Status ReadFile(const std::filesystem::path& path) const;
  Status Read(std::string_view yaml, std::string_view file_name) const;

 private:
  // Says what the key wants, or nothing when the value was taken.
  using Take = std::function<std::string(const nlohmann::ordered_json&)>;
  std::map<std::string, Take> keys_;
};

// $XDG_DATA_HOME/NAME, else ~/.local/share/NAME.
std::filesystem::path DefaultDataDir(const std::string& name);

}  // namespace ft::config
