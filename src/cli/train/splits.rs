//! The photographs of folders, and what each is used for.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        analyze::inputs,
        endpoint,
        error::{Exit, Failure},
        folder,
        picture_type::PictureType,
    },
    nn::{
        data::sources::{Source, Split},
        preprocessing::CROP,
        training::Sources,
    },
};

/// Reads folders' pictures that are large enough; those that lists name, where there are some.
///
/// # Errors
/// If something cannot be read, or a split has no picture.
pub fn read(folders: &[PathBuf], lists: Option<&Path>) -> Result<Sources, Failure> {
    let lists = lists.map(read_lists).transpose()?;
    let [mut train, mut validation, mut test] = [const { Vec::new() }; 3];
    for (folder, path) in pictures(folders)? {
        let name = path.to_string_lossy().into_owned();
        let split = match &lists {
            None => Split::of_name(&name),
            Some(lists) => match lists.get(&name).or_else(|| lists.get(path.with_extension("").to_str()?)) {
                Some(&split) => split,
                None => continue,
            },
        };
        let picture = inputs::read(&folder.join(&path))?.picture;
        if picture.width < CROP || picture.height < CROP {
            tell!("chaosveil: {name} is smaller than {CROP} x {CROP} and left out");
            continue;
        }
        let split = match split {
            Split::Train => &mut train,
            Split::Validation => &mut validation,
            Split::Test => &mut test,
        };
        split.push(Source { name, picture });
    }
    for (split, sources) in Split::ALL.into_iter().zip([&train, &validation, &test]) {
        if sources.is_empty() {
            let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let message = format!("{}: no picture for the split `{}`", folders.join(", "), split.suffix());
            return Err(Failure::new(Exit::Missing, message)
                .advise("give more pictures, or lists of their names with --splits"));
        }
    }
    Ok(Sources { train, validation, test })
}

/// Every picture, as a folder and what follows it.
fn pictures(folders: &[PathBuf]) -> Result<Vec<(&Path, PathBuf)>, Failure> {
    let mut pictures = Vec::new();
    for folder in folders {
        let is_picture =
            |path: &PathBuf| PictureType::of_path(path).is_some() && !endpoint::is_special(&folder.join(path));
        let files = folder::files(folder)?.into_iter().filter(is_picture);
        pictures.extend(files.map(|path| (folder.as_path(), path)));
    }
    Ok(pictures)
}

/// File names, with or without extension, by split. Lists of other folders do no harm.
fn read_lists(folder: &Path) -> Result<HashMap<String, Split>, Failure> {
    let mut splits = HashMap::new();
    for path in folder::files(folder)? {
        let name = path.to_string_lossy();
        let Some(split) = Split::ALL.into_iter().find(|split| name.ends_with(&format!("{}.txt", split.suffix())))
        else {
            continue;
        };
        let path = folder.join(&path);
        let list = fs::read_to_string(&path).map_err(|error| Failure::io(path.display(), error))?;
        for name in list.lines().map(str::trim).filter(|name| !name.is_empty()) {
            if splits.insert(name.to_owned(), split).is_some_and(|other| other != split) {
                return Err(Failure::new(Exit::Content, format!("{}: {name} is in two splits", path.display()))
                    .advise("a picture is in one split only, or the result says nothing"));
            }
        }
    }
    Ok(splits)
}
