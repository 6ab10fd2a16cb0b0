# Registers every case of a Python unittest file with CTest, by name: <PREFIX>.<file without _test>.<method without test_>.
# The file answers --list with one Class.method a line, at configure time.
#
#   ft_python_tests(refusals_test.py PREFIX e2e TIMEOUT 120 [PROCESSORS 2] [LABELS e2e] [ENVIRONMENT A=b ...]
#                   [NEEDS files that the list depends on] [RANKLESS names] [PEERS])
#
# RANKLESS: the cases, without test_, that start no ft-rank. Their label is <LABELS>.rankless: the address sanitizer's build has
# no LibTorch and runs them. PEERS: the cases run with the Python packages of cmake/checks.lock.
function(ft_python_tests file)
  cmake_parse_arguments(ARG "PEERS" "PREFIX;TIMEOUT;PROCESSORS" "LABELS;ENVIRONMENT;NEEDS;RANKLESS" ${ARGN})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${ARG_NEEDS})
  execute_process(COMMAND ${CMAKE_COMMAND} -E env ${ARG_ENVIRONMENT} python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/${file} --list
                  OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" cases "${cases}")
  string(REGEX REPLACE "_test\\.py$" "" stem ${file})
  set(python python3)
  if(ARG_PEERS)
    set(python ${PROJECT_SOURCE_DIR}/.deps/checks/bin/python3)
  endif()
  set(environment "FT_BIN=${PROJECT_BINARY_DIR}/bin" ${ARG_ENVIRONMENT})
  foreach(case ${cases})
    string(REGEX REPLACE "^.*\\.(test_)?" "" method ${case})
    set(name ${ARG_PREFIX}.${stem}.${method})
    set(label ${ARG_LABELS})
    if(method IN_LIST ARG_RANKLESS)
      list(REMOVE_ITEM ARG_RANKLESS ${method})
      set(label ${ARG_LABELS}.rankless)
    endif()
    add_test(NAME ${name} COMMAND ${python} -B ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${case})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${label}"
      ENVIRONMENT "${environment}" SKIP_REGULAR_EXPRESSION "OK \\(skipped=")
    if(ARG_PROCESSORS)
      set_tests_properties(${name} PROPERTIES PROCESSORS ${ARG_PROCESSORS})
    endif()
  endforeach()
  if(ARG_RANKLESS)
    message(FATAL_ERROR "${file} has no case called ${ARG_RANKLESS}")
  endif()
endfunction()
