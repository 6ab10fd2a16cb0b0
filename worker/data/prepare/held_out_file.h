// Data that a model is measured on and never trained on: a file of its own, read as the job reads the first of its sources.
#pragma once

#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/prepare/prepare.h"

namespace ft::prepare {

// The job that has `file` as its only data: with the first source's format, columns and template, of a .txt file as plain text. Every
// record is a sample of its own; those without a token that carries loss are left out, and long ones are cut to train.max_length.
recipe::JobSpec JobOfFile(const recipe::JobSpec& spec, const std::string& file);

// For people, of what preparing that job told.
std::string HeldOutSentence(const std::string& file, const PreparedReport& report, int64_t max_length);

// What each file's results are called: its name without its ending, which gets a number where it is taken or is that of the
// share that a job holds out.
std::vector<std::string> NamesOfFiles(const std::vector<std::string>& files);

}  // namespace ft::prepare
