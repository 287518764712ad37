# perigee_module(NAME [SOURCES ...] [TESTS ...] [DEPS ...] [PRIVATE_DEPS ...] [TEST_DEPS ...])
# One library per folder, with its unit tests beside it: library perigee_NAME (alias perigee::NAME),
# test program NAME_test. A module without sources is an interface library (headers only).
include_guard()

add_library(perigee_options INTERFACE)
target_include_directories(perigee_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(perigee_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wnull-dereference -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns falsely inside Asio's and the standard library's inlined code.
  target_compile_options(perigee_options INTERFACE
    -Wno-null-dereference -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow
    -Wno-array-bounds -Wno-mismatched-new-delete)
endif()
if(PERIGEE_SANITIZE STREQUAL "address")
  target_compile_options(perigee_options INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(perigee_options INTERFACE -fsanitize=address,undefined)
elseif(PERIGEE_SANITIZE STREQUAL "fuzzer")  # address and undefined, with what libFuzzer steers by
  target_compile_options(perigee_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(perigee_options INTERFACE -fsanitize=address,undefined)
elseif(PERIGEE_SANITIZE STREQUAL "thread")
  target_compile_options(perigee_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(perigee_options INTERFACE -fsanitize=thread)
endif()
include(precompiled)

function(perigee_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;TESTS;DEPS;PRIVATE_DEPS;TEST_DEPS" ${ARGN})
  set(library perigee_${name})
  if(ARG_SOURCES)
    add_library(${library} STATIC ${ARG_SOURCES})
    target_link_libraries(${library} PUBLIC perigee_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
    perigee_precompile(${library} common)
  else()
    add_library(${library} INTERFACE)
    target_link_libraries(${library} INTERFACE perigee_options ${ARG_DEPS})
  endif()
  add_library(perigee::${name} ALIAS ${library})
  if(PERIGEE_TESTS AND ARG_TESTS)
    perigee_test(${name}_test SOURCES ${ARG_TESTS} DEPS ${library} ${ARG_PRIVATE_DEPS} ${ARG_TEST_DEPS})
  endif()
endfunction()

# perigee_test(NAME SOURCES ... DEPS ... [LABELS ...]): a GoogleTest program known to ctest.
function(perigee_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  perigee_precompile(${name} tests)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
endfunction()
