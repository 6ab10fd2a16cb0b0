// YAML text as a JSON tree, read strictly: one document, no duplicate keys, no anchors, aliases or tags, at most 1 MiB,
// 64 levels and 100,000 nodes. yaml-cpp itself accepts duplicates silently and expands alias bombs.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

namespace ft::recipe {

// One thing wrong with a document: where, and what to do.
struct Problem {
  int line = 0;      // From 1; 0 = unknown.
  std::string path;  // train.optimizer.lr, data[0].map; empty = the whole document.
  std::string message;
};

struct YamlTree {
  nlohmann::ordered_json root;       // Null when the text could not be read.
  std::map<std::string, int> lines;  // Path of every node -> its line, from 1.
  std::vector<Problem> problems;
};

// Plain scalars become null, booleans (true, false), integers or floats where they read as such; quoted ones stay text.
YamlTree ReadYaml(std::string_view text);

}  // namespace ft::recipe
