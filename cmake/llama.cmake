# Target perigee_llama: the C API of llama.cpp (llama.h, ggml*.h), of one pinned release.
#
# PERIGEE_LLAMA says where it comes from:
#   prebuilt  shared libraries from the npm registry, any x86-64 or arm64 CPU; seconds (default)
#   source    the same release built static for this CPU by g++, once for all build folders; twice
#             the prefill speed, minutes. PERIGEE_LLAMA_CUDA=ON adds NVIDIA cards
#   system    find_package(llama), 0.5 <= version < 0.8, kept only if it runs the demo model
#   off       no such target
#
# Both npm packages are pinned by sha512 in deps/llama/package-lock.json. They land in .deps/, which
# all build folders of a checkout share, and are fetched again only when the lock file changes.
#
# With `prebuilt` the libraries lie in <build>/lib, beside the CPU backends (one per CPU generation,
# chosen at run time), and every program in the build folder finds them relative to itself: the
# build folder can be moved. PERIGEE_LLAMA_DYNAMIC is then defined to 1, and a program must call
# ggml_backend_load_all_from_path() with the folder of the loaded libllama (dladdr) before its first
# model. Else it is 0 and nothing needs to be loaded.
include_guard()

option(PERIGEE_LLAMA_CUDA "PERIGEE_LLAMA=source: build for NVIDIA cards too" OFF)
option(PERIGEE_LLAMA_NATIVE "PERIGEE_LLAMA=source: use every instruction of this machine's CPU" ON)
set(PERIGEE_LLAMA_CUDA_ARCHITECTURES "75-virtual;80-virtual;86-real;89-real;90-real"
    CACHE STRING "PERIGEE_LLAMA_CUDA: the cards to compile for (90 is H100 and H200)")
set(PERIGEE_DEPS_DIR ${CMAKE_SOURCE_DIR}/.deps CACHE PATH "Fetched and built dependencies")
set(PERIGEE_LLAMA_DIR ${PERIGEE_DEPS_DIR}/llama)

# The single commit in the git bundle that carries release v0.5.0. Raise it together with the
# versions in the lock file, and run the engine's tests: saved states do not survive a new release.
set(PERIGEE_LLAMA_RELEASE v0.5.0)
set(PERIGEE_LLAMA_COMMIT de3ff815ea7d559ee917f063901b8986f038abc6)

function(perigee_llama_run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status WORKING_DIRECTORY ${PERIGEE_LLAMA_DIR})
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "llama.cpp: could not ${what} (${status}). See the lines above; "
      "-DPERIGEE_LLAMA=system uses an installed llama.cpp, -DPERIGEE_LLAMA=off builds without.")
  endif()
endfunction()

# Brings .deps/llama to the state that the lock file names: node_modules/ and source/.
function(perigee_llama_fetch)
  set(lock ${CMAKE_SOURCE_DIR}/deps/llama/package-lock.json)
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${lock})
  file(MAKE_DIRECTORY ${PERIGEE_LLAMA_DIR})
  file(LOCK ${PERIGEE_LLAMA_DIR}/lock GUARD FUNCTION TIMEOUT 1200)
  file(SHA256 ${lock} wanted)
  set(present)
  if(EXISTS ${PERIGEE_LLAMA_DIR}/fetched)
    file(READ ${PERIGEE_LLAMA_DIR}/fetched present)
  endif()
  if(present STREQUAL "${wanted} ${PERIGEE_LLAMA_COMMIT}")
    return()
  endif()

  find_program(PERIGEE_NPM npm)
  find_package(Git QUIET)
  if(NOT PERIGEE_NPM OR NOT GIT_FOUND)
    message(FATAL_ERROR "llama.cpp: npm and git are needed to fetch it. Run ./dev setup, or "
      "configure with -DPERIGEE_LLAMA=system or off.")
  endif()
  message(STATUS "llama.cpp ${PERIGEE_LLAMA_RELEASE}: fetching two npm packages (45 MB)")
  file(REMOVE ${PERIGEE_LLAMA_DIR}/fetched)
  file(REMOVE_RECURSE ${PERIGEE_LLAMA_DIR}/node_modules ${PERIGEE_LLAMA_DIR}/source
       ${PERIGEE_LLAMA_DIR}/release.git)
  file(COPY ${CMAKE_SOURCE_DIR}/deps/llama/package.json ${lock} DESTINATION ${PERIGEE_LLAMA_DIR})
  # Node trusts its own list of authorities; trust the system's too, as the rest of the machine does.
  set(authorities /etc/ssl/certs/ca-certificates.crt)
  if(NOT DEFINED ENV{NODE_EXTRA_CA_CERTS} AND EXISTS ${authorities})
    set(ENV{NODE_EXTRA_CA_CERTS} ${authorities})
  endif()
  perigee_llama_run("fetch its npm packages"
    ${PERIGEE_NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error)

  set(bundle ${PERIGEE_LLAMA_DIR}/node_modules/node-llama-cpp/llama/gitRelease.bundle)
  set(archive ${PERIGEE_LLAMA_DIR}/source.tar)
  perigee_llama_run("unpack its git bundle"
    ${GIT_EXECUTABLE} -c init.defaultBranch=main clone --quiet --bare ${bundle} release.git)
  perigee_llama_run("find commit ${PERIGEE_LLAMA_COMMIT}"
    ${GIT_EXECUTABLE} -C release.git archive --output ${archive} ${PERIGEE_LLAMA_COMMIT}
    CMakeLists.txt LICENSE cmake common ggml include src vendor)
  file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${PERIGEE_LLAMA_DIR}/source)
  file(REMOVE ${archive})
  file(REMOVE_RECURSE ${PERIGEE_LLAMA_DIR}/release.git)
  file(WRITE ${PERIGEE_LLAMA_DIR}/fetched "${wanted} ${PERIGEE_LLAMA_COMMIT}")
endfunction()

function(perigee_llama_prebuilt)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(platform linux-x64)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(platform linux-arm64)
  else()
    message(FATAL_ERROR "llama.cpp: no prebuilt libraries for ${CMAKE_SYSTEM_PROCESSOR}. "
      "Configure with -DPERIGEE_LLAMA=source.")
  endif()
  perigee_llama_fetch()
  set(from ${PERIGEE_LLAMA_DIR}/node_modules/@node-llama-cpp/${platform}/bins/${platform})
  set(to ${CMAKE_BINARY_DIR}/lib)
  file(GLOB libraries ${from}/libggml*.so ${from}/libllama.*.so)
  file(COPY ${libraries} DESTINATION ${to})

  foreach(library libllama.${PERIGEE_LLAMA_RELEASE} libggml.${PERIGEE_LLAMA_RELEASE} libggml-base)
    add_library(perigee_llama_${library} SHARED IMPORTED GLOBAL)
    set_target_properties(perigee_llama_${library} PROPERTIES
      IMPORTED_LOCATION ${to}/${library}.so IMPORTED_SONAME ${library}.so)
    target_link_libraries(perigee_llama INTERFACE perigee_llama_${library})
  endforeach()
  target_include_directories(perigee_llama SYSTEM INTERFACE
    ${PERIGEE_LLAMA_DIR}/source/include ${PERIGEE_LLAMA_DIR}/source/ggml/include)
  target_compile_definitions(perigee_llama INTERFACE PERIGEE_LLAMA_DYNAMIC=1)
  target_link_libraries(perigee_llama INTERFACE ${CMAKE_DL_LIBS})
endfunction()

# Built with g++ whatever compiles Perigee: the C API is the same, and so is its OpenMP library. A
# process that gives a context more than one thread on a shared machine should start with
# OMP_WAIT_POLICY=passive in its environment, else a busy neighbour can stall it.
function(perigee_llama_source)
  perigee_llama_fetch()
  set(flags -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++
    -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_LIBDIR=lib
    -DLLAMA_BUILD_IS_DEV=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF
    -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DGGML_NATIVE=${PERIGEE_LLAMA_NATIVE}
    -DGGML_OPENMP=ON -DGGML_CCACHE=OFF)
  set(libraries llama ggml ggml-cpu ggml-base)
  set(system_libraries gomp m ${CMAKE_DL_LIBS} Threads::Threads)
  if(PERIGEE_LLAMA_CUDA)
    find_package(CUDAToolkit REQUIRED)
    # A list does not survive as an argument, so it travels as a file.
    set(cards ${PERIGEE_LLAMA_DIR}/cards.cmake)
    file(CONFIGURE OUTPUT ${cards} CONTENT
      "set(CMAKE_CUDA_ARCHITECTURES \"@PERIGEE_LLAMA_CUDA_ARCHITECTURES@\" CACHE STRING \"\")\n")
    list(APPEND flags -C ${cards} -DCMAKE_CUDA_COMPILER=${CUDAToolkit_NVCC_EXECUTABLE}
      -DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF -DGGML_CUDA_FA=ON)
    set(libraries llama ggml ggml-cpu ggml-cuda ggml-base)
    list(APPEND system_libraries CUDA::cudart CUDA::cublas CUDA::cublasLt)
    if(TARGET CUDA::cuda_driver)
      list(APPEND system_libraries CUDA::cuda_driver)
    else()  # a build machine without a driver
      list(APPEND flags -DGGML_CUDA_NO_VMM=ON)
    endif()
  endif()

  string(SHA256 key "${PERIGEE_LLAMA_COMMIT} ${flags} ${PERIGEE_LLAMA_CUDA_ARCHITECTURES}")
  string(SUBSTRING ${key} 0 12 key)
  set(prefix ${PERIGEE_LLAMA_DIR}/built-${key})
  file(LOCK ${PERIGEE_LLAMA_DIR}/lock GUARD FUNCTION TIMEOUT 7200)
  if(NOT EXISTS ${prefix}/done)
    message(STATUS "llama.cpp ${PERIGEE_LLAMA_RELEASE}: building from source (minutes, once)")
    perigee_llama_run("configure its source"
      ${CMAKE_COMMAND} -S source -B build-${key} -G Ninja -DCMAKE_INSTALL_PREFIX=${prefix} ${flags})
    perigee_llama_run("build its source" ${CMAKE_COMMAND} --build build-${key})
    perigee_llama_run("install it" ${CMAKE_COMMAND} --install build-${key})
    file(REMOVE_RECURSE ${PERIGEE_LLAMA_DIR}/build-${key})
    file(TOUCH ${prefix}/done)
  endif()

  list(TRANSFORM libraries REPLACE "(.+)" "${prefix}/lib/lib\\1.a")
  target_link_libraries(perigee_llama INTERFACE
    -Wl,--start-group ${libraries} -Wl,--end-group ${system_libraries})
  target_include_directories(perigee_llama SYSTEM INTERFACE ${prefix}/include)
  target_compile_definitions(perigee_llama INTERFACE PERIGEE_LLAMA_DYNAMIC=0)
endfunction()

# llama_context_params, passed by value, changes between releases, so headers and library must be
# of one release: the check loads the demo model and decodes a token.
function(perigee_llama_system)
  find_package(llama CONFIG REQUIRED)
  if(LLAMA_VERSION)
    set(version ${LLAMA_VERSION})
  else()
    set(version ${llama_VERSION})
  endif()
  if(version VERSION_LESS 0.5 OR version VERSION_GREATER_EQUAL 0.8)
    message(FATAL_ERROR "llama.cpp ${version} is installed; Perigee works with 0.5 <= version < 0.8. "
      "Configure with -DPERIGEE_LLAMA=prebuilt or source.")
  endif()
  target_link_libraries(perigee_llama INTERFACE llama ${CMAKE_DL_LIBS})
  target_compile_definitions(perigee_llama INTERFACE PERIGEE_LLAMA_DYNAMIC=0)
  set(check ${CMAKE_BINARY_DIR}/llama_check)
  if(NOT EXISTS ${check}/passed-${version})
    execute_process(
      COMMAND ${CMAKE_COMMAND} -S ${CMAKE_SOURCE_DIR}/cmake/llama_check -B ${check} -G Ninja
              -Dllama_DIR=${llama_DIR} "-DCMAKE_PREFIX_PATH=${CMAKE_PREFIX_PATH}"
              -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
      COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${check} COMMAND_ERROR_IS_FATAL ANY
                    OUTPUT_QUIET)
    execute_process(COMMAND ${check}/llama_check ${CMAKE_SOURCE_DIR}/models/perigee-demo.gguf
                    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE printed)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "llama.cpp ${version} is installed but does not run the demo model "
        "(${status}). Configure with -DPERIGEE_LLAMA=prebuilt or source.\n${printed}")
    endif()
    file(TOUCH ${check}/passed-${version})
  endif()
endfunction()

if(PERIGEE_LLAMA STREQUAL "off")
  return()
endif()
if(NOT PERIGEE_LLAMA MATCHES "^(prebuilt|source|system)$")
  message(FATAL_ERROR "PERIGEE_LLAMA is '${PERIGEE_LLAMA}': it must be prebuilt, source, system or off.")
endif()
if(PERIGEE_LLAMA_CUDA AND NOT PERIGEE_LLAMA STREQUAL "source")
  message(FATAL_ERROR "PERIGEE_LLAMA_CUDA needs PERIGEE_LLAMA=source.")
endif()
add_library(perigee_llama INTERFACE)
cmake_language(CALL perigee_llama_${PERIGEE_LLAMA})
