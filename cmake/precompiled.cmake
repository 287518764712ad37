# perigee_precompile(TARGET common|tests): the standard library, Boost, fmt and GoogleTest are read
# once and not by each of five hundred sources, which takes a third off a source.
#
# Off with g++ and with the fuzzers, whose builds so find a source that forgot an include. A target
# takes the header of another only when both define the same macros: perigee_options adds those of
# the libraries in it, whether a target links them or not.
include_guard()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NOT PERIGEE_SANITIZE STREQUAL "fuzzer")
  set(PERIGEE_PRECOMPILE_DEFAULT ON)
else()
  set(PERIGEE_PRECOMPILE_DEFAULT OFF)
endif()
option(PERIGEE_PRECOMPILE "Precompile the headers that most sources include" ${PERIGEE_PRECOMPILE_DEFAULT})

function(perigee_precompile target kind)
  if(PERIGEE_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM perigee_precompiled_${kind})
  endif()
endfunction()

if(PERIGEE_PRECOMPILE)
  foreach(library IN ITEMS Boost::json fmt::fmt perigee_asio)
    target_compile_definitions(perigee_options INTERFACE
      $<TARGET_PROPERTY:${library},INTERFACE_COMPILE_DEFINITIONS>)
  endforeach()
  # ccache and a second build compare the header by what is in it, not by its age.
  target_compile_options(perigee_options INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
  set(kinds common)
  if(PERIGEE_TESTS)
    list(APPEND kinds tests)
  endif()
  foreach(kind IN LISTS kinds)
    set(source ${CMAKE_BINARY_DIR}/precompiled_${kind}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "")
    add_library(perigee_precompiled_${kind} OBJECT EXCLUDE_FROM_ALL ${source})
    target_link_libraries(perigee_precompiled_${kind} PRIVATE perigee_options)
    target_precompile_headers(perigee_precompiled_${kind} PRIVATE
      ${CMAKE_SOURCE_DIR}/cmake/precompiled/${kind}.h)
  endforeach()
  if(PERIGEE_TESTS)
    target_link_libraries(perigee_precompiled_tests PRIVATE GTest::gtest GTest::gmock)
  endif()
endif()
