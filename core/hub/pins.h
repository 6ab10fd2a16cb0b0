// What the sources of a job on hubs stood for when it was prepared: sources.json in its run folder. Every later attempt takes the
// same, however a branch has moved since.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::hub {

struct Pin {
  std::string source;            // As the job file has it.
  std::string version;           // Fetched::version.
  std::filesystem::path folder;  // Fetched::folder, on the node that has downloaded it last.
  bool operator==(const Pin&) const = default;
};

// Those of a run folder; empty when there are none.
std::vector<Pin> ReadPins(const std::filesystem::path& run_dir);
Status WritePins(const std::filesystem::path& run_dir, const std::vector<Pin>& pins);

// The pin of a source, or null.
const Pin* FindPin(const std::vector<Pin>& pins, std::string_view source);

}  // namespace ft::hub
