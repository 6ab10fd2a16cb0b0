// Which files of a repository a job needs. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/hub/listing.h"
#include "core/recipe/hub_source.h"

namespace ft::hub {

// What part of a data set is asked for, as a job file says it.
struct DataPart {
  std::string
      subset;  // The configuration: a folder of that name, or the start of the files' names; empty = any.
  std::string folder;  // Only what lies below it, or the one file that it names; empty = everything.
  std::string split;   // Empty = train.
  bool operator==(const DataPart&) const = default;
};

// Of a model: its settings, weights, vocabulary, templates, and the *.py that go beside a merged model (and are never run). Only
// what lies at the top; weights as safetensors, or as *.bin where there are none.
// INVALID_ARGUMENT, without the source's name: no config.json, or no weights.
StatusOr<std::vector<HubFile>> WantedOfModel(const std::vector<HubFile>& files);

// Whether a file of the above holds weights.
bool IsWeights(std::string_view path);

// Of a data set: the files of one kind that this program reads, those of the split where names tell splits apart, by name.
// INVALID_ARGUMENT, without the source's name: none is left; says what there is.
StatusOr<std::vector<HubFile>> WantedOfData(const std::vector<HubFile>& files, const DataPart& part);

}  // namespace ft::hub
