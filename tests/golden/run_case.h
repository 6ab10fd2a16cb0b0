// One case of any kind. README.md describes the folders and the limits.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <string>

#include "tests/golden/case_result.h"

namespace ft::golden {

// Whether the folder itself looks like a case, rather than like a folder of cases.
bool IsCase(const std::filesystem::path& folder);

// What kind of case it is follows from its files. `dtype`, fp32, bf16 or fp16, is the type that models compute in, `device` where they do.
CaseResult RunCase(const std::filesystem::path& folder, const std::string& dtype,
                   at::Device device = at::kCPU);

}  // namespace ft::golden
