// The browser build of simple-peer: its plain entry needs Node's globals.
declare module "simple-peer/simplepeer.min.js" {
  import SimplePeer from "simple-peer";
  export default SimplePeer;
}
