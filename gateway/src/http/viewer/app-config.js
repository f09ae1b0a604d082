// The viewer's configuration: one data source, this gateway; no study list, no tour, nothing loaded from an address in the query.

// asked of the address each time: a viewer that stood ready gets its case later
const asked = () => new URLSearchParams(location.search);
const priors = () => new Set((asked().get('priors') || '').split(',').filter(Boolean));
const studies = () => asked().getAll('StudyInstanceUIDs').flatMap((text) => text.split(',')).filter(Boolean);
/** A black image that is nobody's: on it a viewer that stands ready warms up. */
const BLANK = '2.25.299792458';
// of two sites' studies with one UID the case says which is meant
const root = () => {
  if (studies().join() === BLANK) return '/viewer/blank';
  const ofCase = asked().get('case') || '';
  return /^[0-9A-Za-z-]{1,64}$/.test(ofCase) ? `/dicomweb/cases/${ofCase}` : '/dicomweb';
};

// a study that is withdrawn leaves this window too, whoever opened it and wherever (P17): what the gateway no longer lists is not shown
const watching = setInterval(async () => {
  for (const uid of studies()) {
    try {
      const listed = await fetch(`${root()}/studies?StudyInstanceUID=${encodeURIComponent(uid)}&limit=1`, { headers: { Accept: 'application/dicom+json', 'X-Causeway-Background': '1' } });
      if (!listed.ok || (listed.status !== 204 && (await listed.json()).length)) continue;
    } catch {
      continue;
    }
    clearInterval(watching);
    const words = document.createElement('p');
    words.textContent = 'These images are not shown any more: the site has withdrawn them, their time is over, or the gateway was put back to a backup and has not heard the site since.';
    words.style.cssText = 'margin:20vh auto;max-width:30em;font:1.1rem system-ui;color:#ddd;text-align:center';
    document.body.replaceChildren(words);
    return;
  }
}, 20_000);

// What is asked for while nobody sees this viewer says so (P23), and the page around it can tell when nothing is being asked for.
const requests = { unseen: false, open: 0, failed: 0, last: performance.now() };
const { send } = XMLHttpRequest.prototype;
XMLHttpRequest.prototype.send = function sendCounted(...body) {
  if (requests.unseen) this.setRequestHeader('X-Causeway-Ahead', '1');
  requests.open += 1;
  this.addEventListener('loadend', () => {
    requests.open -= 1;
    if (!this.status || this.status >= 400) requests.failed += 1;
    requests.last = performance.now();
  });
  return send.apply(this, body);
};

const canvas = () => document.querySelector('canvas.cornerstone-canvas');

let services = null;

/** For how many milliseconds nothing has been asked for, once the program has begun. A viewer that is busy asks for nothing either. */
const idleFor = () => (requests.open || !services ? 0 : performance.now() - requests.last);

/** After so long nobody waits any more for images that do not come. */
const LOST_MS = 15_000;

/** Whether the studies of the address are on the screen, with every image. The image on which a viewer stood ready stays until they are. */
function whole() {
  const { cache, getRenderingEngines } = window.cornerstone;
  const ids = getRenderingEngines().flatMap((engine) => engine.getViewports()).flatMap((one) => one.getImageIds?.() ?? []);
  const wanted = studies();
  return ids.some((id) => wanted.some((uid) => id.includes(`/${uid}/`))) && ids.every((id) => cache.isLoaded(id));
}

/** Whether the viewer has come to the studies of its address. What is asked of the source before that is missing from what it then shows. */
const arrived = () => studies().join() !== BLANK && services?.displaySetService.getActiveDisplaySets().some((set) => studies().includes(set.StudyInstanceUID));

/** How this viewer stands: whether it has come to its case and shows an image of it, whether anything it asked for has failed, and how long it has
 * asked nothing; or that it stands ready for one. */
window.progress = () => ({ came: Boolean(arrived()), shows: Boolean(arrived() && canvas()), failed: requests.failed > 0, idle: idleFor(), ready: standing.ready });

/** For how many milliseconds nothing has been asked for, once all images on the screen are there or are not going to be. */
window.silentFor = () => (canvas() && (whole() || idleFor() > LOST_MS) ? idleFor() : 0);

// A viewer without a case stands ready until the page around it names one. It warms up on the blank image: its program, its decoder and its
// drawing have then been used, which is half of the time that a first image takes.
const WARM_MS = 4_000;
const standing = { begun: false, ready: false, address: null };

/** No step of its own for the back button, and the viewer's router hears of it as of one. */
function travel(address) {
  history.replaceState(history.state, '', address);
  dispatchEvent(new PopStateEvent('popstate', { state: history.state }));
}

function depart() {
  standing.ready = false;
  requests.last = performance.now();
  travel(standing.address);
}

/** The viewer opens the blank image, and is ready when it has drawn it. It is never led away in the middle of that: whoever waits too long for it starts anew. */
function warmUp() {
  const until = performance.now() + WARM_MS;
  travel(`/viewer/viewer?StudyInstanceUIDs=${BLANK}`);
  const timer = setInterval(() => {
    const warm = window.silentFor() >= 250;
    if (!warm && (performance.now() < until || !standing.address || requests.unseen)) return;
    clearInterval(timer);
    standing.ready = true;
    if (!standing.address) return;
    if (warm) depart();
    else location.replace(standing.address);
  }, 50);
}

/** Shows the studies of this address, as soon as the program has started; `unseen` while that is before anybody looks. */
window.goTo = (address, unseen) => {
  requests.unseen = unseen;
  if (standing.address === address) return;
  if (standing.address) throw new Error('a viewer has one case and no other');
  standing.address = address;
  Object.assign(requests, { failed: 0, last: performance.now() });
  if (standing.ready) depart();
};

/** The place where the program has started and has no study yet. */
function standReady() {
  if (standing.begun) return null;
  standing.begun = true;
  setTimeout(standing.address ? depart : warmUp);
  return null;
}

/** Whether the viewer, opened anew, would lay this image on a stack: a clip stands alone, and so does each view of a plain radiograph. */
const stacks = (one) => one.Rows > 0 && !(one.NumberOfFrames > 1) && !['CR', 'MG', 'DX'].includes(one.Modality);

/** A stack takes in what came later and belongs on it; the viewer makes sets of the rest. One that says it took something is loaded again. */
function takeIn(instances) {
  const mine = instances.filter(stacks);
  if (!mine.length) return undefined;
  this.images.push(...mine);
  this.sort(services.customizationService);
  this.setAttributes({ numImageFrames: this.images.length });
  return this;
}

/** The stacks on the screen that have grown go on with all their images, each at the image, size and window it was left at. */
async function regrow(source) {
  const { cornerstoneViewportService, displaySetService, viewportGridService } = services;
  for (const [id, { displaySetInstanceUIDs = [] }] of viewportGridService.getState().viewports) {
    const viewport = cornerstoneViewportService.getCornerstoneViewport(id);
    const set = displaySetInstanceUIDs.length === 1 && displaySetService.getDisplaySetByUID(displaySetInstanceUIDs[0]);
    if (!set?.images || viewport?.type !== 'stack') continue;
    const imageIds = source.getImageIdsForDisplaySet(set);
    if (imageIds.length <= viewport.getImageIds().length) continue;
    const [camera, properties, index] = [viewport.getCamera(), viewport.getProperties(), imageIds.indexOf(viewport.getCurrentImageId())];
    for (const part of cornerstoneViewportService.getViewportInfo(id).getViewportData().data) part.imageIds = imageIds;
    await viewport.setStack(imageIds, Math.max(index, 0));
    viewport.setProperties(properties);
    viewport.setCamera(camera);
    viewport.render();
  }
}

const ARRIVES_MS = 60_000;

async function arrival() {
  const until = performance.now() + ARRIVES_MS;
  while (!arrived()) {
    if (performance.now() > until) throw new Error('the viewer shows nothing that more could join');
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

// the page around the viewer calls this when more has arrived (P13): the images join what is shown, and nobody loses his place
window.takeInArrivals = async () => {
  await arrival();
  const { displaySetService } = services;
  const [source] = displaySetService.extensionManager.getActiveDataSource();
  for (const set of displaySetService.getActiveDisplaySets()) {
    if (set.images?.every(stacks) && !set.isDynamicVolume) set.addInstances ??= takeIn;
  }
  for (const uid of studies()) {
    // what the source has asked before it keeps under this name
    source.deleteStudyMetadataPromise(`gateway:${uid}`);
    await source.retrieve.series.metadata({ StudyInstanceUID: uid });
  }
  await regrow(source);
};

const config = {
  name: 'causeway',
  routerBasename: '/viewer',
  extensions: [],
  modes: [],
  customizationService: {
    'ohif.tours': { $set: [] },
    'routes.customRoutes': { $set: { routes: [{ path: '/ready', children: standReady }] } },
    // an earlier study says so in the image, in its own colour
    'viewportOverlay.topLeft': {
      $unshift: [
        {
          id: 'Prior',
          inheritsFrom: 'ohif.overlayItem',
          label: '',
          title: 'This is an earlier study',
          color: '#b3b0ff',
          condition: ({ referenceInstance }) => priors().has(referenceInstance?.StudyInstanceUID),
          contentF: () => 'PRIOR',
        },
      ],
    },
  },
  showStudyList: false,
  investigationalUseDialog: { option: 'never' },
  showErrorDetails: 'production',
  showWarningMessageForCrossOrigin: true,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 75, prefetch: 25 },
  studyPrefetcher: { enabled: true, displaySetsCount: 2, maxNumPrefetchRequests: 10, order: 'closest' },
  defaultDataSourceName: 'gateway',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'gateway',
      configuration: {
        friendlyName: 'This gateway',
        name: 'gateway',
        onConfiguration: (source) => ({ ...source, qidoRoot: root(), wadoRoot: root(), wadoUriRoot: root() }),
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        staticWado: false,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
        omitQuotationForMultipartRequest: true,
        // grey frames that are stored as plain samples come coded without loss, a third of their size on the reader's line
        acceptHeader: ['multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.80', 'multipart/related; type=application/octet-stream; transfer-syntax=*'],
        supportsReject: false,
        dicomUploadEnabled: false,
      },
    },
  ],
};
window.config = Object.assign(({ servicesManager }) => {
  services = servicesManager.services;
  return config;
}, { routerBasename: config.routerBasename, defaultDataSourceName: config.defaultDataSourceName });
